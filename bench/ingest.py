"""Ingest: decoding beside jansson on the same records and checks; and consuming, broker's work not counted.

    bench/run.sh ingest [--json] [--rounds N] [--events N] [--broker embedded|kafka]

The broker is another process: the embedded one (which gives out one batch per fetch and partition and keeps 5 MiB of each), or
a real Apache Kafka where the test's services find one. CPU time is that of the consuming process with all its threads, from
the first record taken to the last.
"""

import json
import shutil
import subprocess
import sys
import tempfile

import common

sys.path.insert(0, str(common.TOP / "tests" / "e2e"))

import services  # noqa: E402

EVENTS_MADE = 20000  # as in ingest.c
PARTITIONS, BYTES_PER_PARTITION = 6, 5 << 20  # what the embedded broker keeps
BYTES_PER_EVENT = 260  # with key and headers, about


class Embedded:
    def __init__(self, folder):
        binary = common.BUILD / "freshet"
        self.process = subprocess.Popen([binary, "broker", "--topics", "ingest,ingest.dead", "--partitions", str(PARTITIONS)],
                                        stdout=subprocess.PIPE, text=True)
        self.bootstrap = self.process.stdout.readline().strip()
        self.events_max = PARTITIONS * BYTES_PER_PARTITION // BYTES_PER_EVENT * 9 // 10  # users are not spread evenly

    def stop(self):
        services.stop(self.process)


class Kafka:
    def __init__(self, folder):
        self.kafka = services.Kafka(folder)
        self.kafka.start()
        self.kafka.create_topic("ingest", PARTITIONS)
        self.bootstrap, self.events_max = self.kafka.bootstrap, 10**9

    def stop(self):
        self.kafka.stop()


def decode(report, options):
    driver = common.Driver("ingest")
    results = common.alternate({"ours": driver.peer("decode"), "jansson": driver.peer("jansson")}, options.rounds)
    driver.close()
    checksums = {r["checksum"] for rows in results.values() for r in rows}
    if len(checksums) != 1:
        raise AssertionError(f"the two read different events: {checksums}")
    for rows in results.values():
        for row in rows:
            row["event_us"] = row["cpu_ms"] * 1e3 / EVENTS_MADE
    report.line(0, "decode, 160 to 216 bytes", "jansson", results["ours"], results["jansson"], "event_us")


def consume(report, options):
    folder = tempfile.mkdtemp(prefix="freshet-bench-")
    broker = {"embedded": Embedded, "kafka": Kafka}[options.broker](folder)
    try:
        events = min(options.events, broker.events_max)
        driver = common.Driver("ingest", broker.bootstrap, "ingest", events)
        driver.run("fill")
        rows = [driver.run("consume") for _ in range(options.rounds + 1)][1:]
        driver.close()
    finally:
        broker.stop()
        shutil.rmtree(folder)
    for row in rows:
        row["event_us"] = row["consume_cpu_ms"] * 1e3 / events
        row["events_per_s"] = events / row["consume_wall_ms"] * 1e3
    cost, spread = common.spread(rows, "event_us")
    rate, _ = common.spread(rows, "events_per_s")
    line = {"work": "ingest", "rank": 0, "size": f"consume and decode, {events} events", "peer": "none", "broker": options.broker,
            "ours_event_us": round(cost, 4), "ours_spread": round(spread, 3), "events_per_s": round(rate)}
    if options.json:
        print(json.dumps({**line, "machine": report.machine}), flush=True)
    else:
        print(f"ingest {line['size']} from {options.broker}: {cost:.3f} us of CPU an event +-{spread:.0%}, {rate:.0f} events/s")


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--events", type=int, default=400_000, help="in the topic; fewer where the broker keeps fewer")
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="embedded")
    options = parser.parse_args()
    jansson = subprocess.run(["pkg-config", "--modversion", "jansson"], capture_output=True, text=True).stdout.strip()
    kafka = subprocess.run(["pkg-config", "--modversion", "rdkafka"], capture_output=True, text=True).stdout.strip()
    report = common.Report("ingest", options, {"jansson": jansson, "librdkafka": kafka})
    decode(report, options)
    consume(report, options)


main()
