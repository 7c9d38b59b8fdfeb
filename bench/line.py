"""The whole line at work: real Kafka and Redis on this machine, beside freshet on the same processors.

    bench/run.sh line [--json] [--rounds N] [--seconds S]

The demo's events: the first part is learned and trained on beforehand, so that a generation is live. What is measured is the
rest, again and again with later times:

  saturation  all events are in Kafka before freshet starts: events and lists a second, CPU an event, and where that went (in
              all rounds; the rest is of the one in the middle)
  half        the same stream at half of that rate: p99 from event to list; of the whole, in whose first second connections come
              up and freshet's memory fills, and the worst of the five seconds' ones that the dashboard shows, after those first
  training    the same while full ALS runs, one training after the other
  path        the limit: the same stream at the same rate through the same Kafka, taken by a consumer that does nothing with
              it and has nothing beside it: from the record's timestamp to when it was taken

freshet is built with debug information in a directory of its own, so that `perf` (package linux-perf; only its software clock is
needed) can say which station a sample belongs to: the innermost function of ours on the stack, by the file it stands in. The
stacks are unwound by that information, as libraries have no frame pointers.
Plumbing is all that is not fold-in, top N, trend, together and training.
"""

import bisect
import collections
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import common

BUILD = common.TOP / "build-bench-line"
os.environ["FRESHET_BIN"] = os.environ.get("FRESHET_LINE_BIN", str(BUILD / "freshet"))
sys.path.insert(0, str(common.TOP / "tests" / "e2e"))

import harness  # noqa: E402
import services  # noqa: E402

STREAM, PARTITIONS = common.TOP / "data" / "online-retail.tsv.zst", 6
SPLIT_TS = 1305000000000  # 10 May 2011: 42% of the events come before
SETTINGS = {
    "events": {"max_ahead": "3650d"},  # many rounds take the stream beyond today
    "model": {"rank": 64},
    "lists": {"n": 100},
    "history": {"max": 200, "seen_max": 1000, "neighbours": 256},
    "train": {"first_events": 5000, "min_events": 100_000_000, "every": "30d", "iterations": 12, "warm_iterations": 4},
}
SATURATION_PASSES = 5  # through the rest of the stream, in one round
WARM_UP_RATE = 80000  # events a second, which nobody learns
SAMPLES_HZ = 499
STATUS_S = 0.25  # between two looks at it, which freshet answers on its own time
LEFT_TO_DRAIN_S = 60
INTERVAL_S = 5  # of the dashboard's samples

# Which station a source file belongs to, the first match; what is not named is the rest of the daemon.
STATIONS = [
    ("fold-in", r"model/(foldin|sgd|confidence)"),
    ("top N", r"model/(topn|kernel)"),
    ("trend", r"model/trend"),
    ("together", r"model/together"),
    ("training", r"model/(als|train|tail|corpus)"),
    ("servants", r"base/|model/(blas|decay)"),
    ("scorer", r"model/(scorer|finishing|arms|slate|taste|columns|generation|items)"),
    ("consumer", r"consumer/"),
    ("pairs", r"model/pairs"),
    ("sums", r"model/sums"),
    ("history", r"model/(history|user)"),
    ("state", r"model/state"),
    ("monitor", r"monitor/|model/(list_change|overlap|probe|shift|variety)"),  # what is made for figures alone
    ("publisher", r"publisher/"),
    ("daemon", r"daemon/"),
]
SERVANTS = "servants"  # memory, buffers, JSON, ids, matrix products, powers of two: their time is their caller's
NO_PLUMBING = {"fold-in", "top N", "trend", "together", "training"}
# Where no function of ours is on the stack: threads and libraries that belong to a station.
LIBRARIES = [("consumer", "librdkafka"), ("state", "liblmdb"), ("top N", "libopenblas"), ("publisher", "libhiredis")]


def build():
    if "FRESHET_LINE_BIN" in os.environ:
        return
    for command in (
        ["cmake", "-G", "Ninja", "-S", common.TOP, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS=-g"],
        ["cmake", "--build", BUILD, "--target", "freshet"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- the profile


class Symbols:
    """Address in the binary -> (function, source file), from the debug information."""

    def __init__(self, binary):
        listing = subprocess.run(["nm", "-nl", "--defined-only", binary], capture_output=True, text=True, check=True).stdout
        self.addresses, self.names = [], []
        for line in listing.splitlines():
            found = re.match(r"([0-9a-f]+) [tTwW] (\S+)(?:\t(.*):\d+)?", line)
            if found:
                self.addresses.append(int(found[1], 16))
                self.names.append((found[2], "/".join((found[3] or "").split("/")[-2:])))  # folder/file.c

    def at(self, address):
        place = bisect.bisect_right(self.addresses, address) - 1
        return self.names[place] if place >= 0 else ("?", "")


class Profile:
    """perf, beside one process; the shares of its CPU time by station and by function."""

    def __init__(self, pid, folder):
        self.binary, self.stations, self.functions = os.environ["FRESHET_BIN"], collections.Counter(), collections.Counter()
        self.perf, self.data = None, os.path.join(folder, "perf.data")
        if shutil.which("perf") is None:
            return
        self.perf = subprocess.Popen(
            ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_HZ), "--call-graph", "dwarf,4096", "-p", str(pid), "-o", self.data],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        if self.perf is None:
            return
        self.perf.send_signal(2)
        self.perf.wait()
        script = ["perf", "script", "-i", self.data, "--no-inline", "-F", "comm,ip,sym,dso"]
        text = subprocess.run(script, capture_output=True, text=True).stdout
        symbols = Symbols(self.binary)
        for sample in text.split("\n\n"):
            lines = sample.strip("\n").split("\n")
            if len(lines) > 1:
                self._count(symbols, lines[0].strip(), [self._frame(line) for line in lines[1:]])

    @staticmethod
    def _frame(line):
        """(address, function, library) of "    55d0 name (/path)"."""
        address, rest = line.strip().split(" ", 1)
        name, _, dso = rest.rpartition(" (")
        return int(address, 16), name, dso.rstrip(")")

    def _count(self, symbols, thread, frames):
        station, ours = None, None
        for address, _, dso in frames:
            if os.path.basename(dso) != "freshet":
                continue
            ours, source = symbols.at(address)  # perf has taken off where it is loaded
            station = next((name for name, pattern in STATIONS if re.match(pattern, source)), "daemon")
            if station != SERVANTS:
                break  # else its caller's, if that can be seen
        if station is None:
            where = " ".join([dso for _, _, dso in frames]) + (" librdkafka" if thread.startswith("rdk:") else "")
            station = next((name for name, library in LIBRARIES if library in where), "no function of ours")
        _, leaf, dso = frames[0]
        inner = leaf if os.path.basename(dso) != "freshet" else ours
        self.stations[station] += 1
        self.functions[station, inner + ("" if ours in (inner, None) else f" < {ours}")] += 1

    def add(self, other):
        """The samples of another round."""
        self.stations += other.stations
        self.functions += other.functions

    def shares(self):
        total = sum(self.stations.values())
        return {name: count / total for name, count in self.stations.most_common()}

    def top(self, count):
        total = sum(self.functions.values())
        return [(name, station, n / total) for (station, name), n in self.functions.most_common(count)]


# ---- the stream


class Stream:
    """The recorded stream's rest over and over, each pass later than the last by the time it spans."""

    def __init__(self, folder):
        with open(STREAM, "rb") as packed:
            text = subprocess.run(["zstd", "-dcq"], stdin=packed, stdout=subprocess.PIPE, check=True, text=True).stdout
        self.head, *lines = text.splitlines()
        rows = [line.split("\t", 1) for line in lines]
        self.rows = [(int(ts), rest) for ts, rest in rows if int(ts) >= SPLIT_TS]
        self.span = self.rows[-1][0] - self.rows[0][0] + 1
        self.folder, self.passes, self.next = folder, 0, 0

    def write(self, events):
        """A file of the next so many events, ties shuffled when it is replayed."""
        path = os.path.join(self.folder, f"stream-{self.passes}-{self.next}.tsv")
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.head + "\n")
            while events > 0:
                part = self.rows[self.next : self.next + events]
                shift = self.passes * self.span
                out.writelines(f"{ts + shift}\t{rest}\n" for ts, rest in part)
                events -= len(part)
                self.next += len(part)
                if self.next == len(self.rows):
                    self.passes, self.next = self.passes + 1, 0
        return path


# ---- the measurements


class Kafka(services.Kafka):
    """As bin/kafka-server-start.sh and kafka-run-class.sh of Kafka 3.9 start it."""

    java_options = ("-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
                    "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true")


class Line:
    def __init__(self, folder):
        self.folder = folder
        self.redis, self.kafka = services.Redis(folder), Kafka(folder)
        self.redis.start()
        self.kafka.start()
        self.freshet = self.instance("bench")
        self.stream = Stream(folder)
        self.events = 0  # in Kafka, ever

    def instance(self, name):
        """With topics of its own."""
        freshet = harness.Freshet(self.folder, name, self.kafka.bootstrap, self.redis.address, SETTINGS,
                                  event_types={"purchase": {"weight": 1.0}})
        self.kafka.create_topic(freshet.topic, PARTITIONS)
        self.kafka.create_topic(freshet.items_topic, 1, **{"cleanup.policy": "compact"})
        return freshet

    def close(self):
        self.freshet.end()
        self.kafka.stop()
        self.redis.stop()

    def replay(self, path, *options):
        """Sends the file's events; how many a second it were."""
        said = self.freshet.ask("replay", path, "--shuffle-ties", "1", *options, timeout_s=600)
        sent, seconds = re.fullmatch(r"(\d+) events in ([0-9.]+) s\s*", said).groups()
        self.events += int(sent)
        return int(sent) / float(seconds)

    def drained(self, status):
        return status["records"]["applied"] >= self.events and status["owed"] == 0 and status["queued"] == 0

    def wait_drained(self):
        return self.freshet.wait(self.drained, "all learned and sent", LEFT_TO_DRAIN_S)

    def learn_first_part(self):
        self.replay(str(STREAM), "--to", SPLIT_TS)
        self.freshet.start()
        self.freshet.wait_generation(1)
        self.wait_drained()
        self.freshet.terminate()

    def saturate(self):
        """All waits in Kafka when freshet starts; counted from the first look at it to the last list."""
        self.replay(self.stream.write(SATURATION_PASSES * len(self.stream.rows)))
        self.freshet.start()
        pids = {"freshet": self.freshet.process.pid, "redis": self.redis.process.pid, "kafka": self.kafka.process.pid}
        profile = Profile(pids["freshet"], self.folder)
        begin = self.freshet.status()
        began, before = time.monotonic(), {name: cpu_s(pid) for name, pid in pids.items()}
        while not self.drained(status := self.freshet.status()):
            time.sleep(STATUS_S)
        seconds = time.monotonic() - began
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        profile.end()
        events = status["records"]["applied"] - begin["records"]["applied"]
        lists = status["lists"]["stored"] - begin["lists"]["stored"]
        self.freshet.terminate()
        return {
            "events": events, "seconds": seconds, "events_per_s": events / seconds, "lists_per_s": lists / seconds,
            "cpu_us_per_event": used["freshet"] / events * 1e6, "cpu_us_per_list": used["freshet"] / lists * 1e6,
            "cpu_share": {name: s / seconds / os.cpu_count() for name, s in used.items()},
        }, profile

    def at_rate(self, rate, seconds, trains):
        """freshet's latencies while so many events a second come in."""
        path = self.stream.write(int(rate * seconds))
        self.freshet.start()
        self.freshet.wait(lambda status: status["kafka"]["lag"] == 0, "the partitions are assigned")
        stop, trained = threading.Event(), []

        def train():
            while not stop.is_set():
                began = time.monotonic()
                self.freshet.ask("train", timeout_s=300)
                trained.append(time.monotonic() - began)

        trainer = threading.Thread(target=train)
        if trains:
            trainer.start()
            time.sleep(0.3)  # so that no event comes before it runs
        began = time.time()
        sent_per_s = self.replay(path, "--rate", rate)
        stop.set()
        ended = time.time()
        status = self.wait_drained()
        if trains:
            trainer.join()
        steady = self.intervals(began + INTERVAL_S, ended)
        self.freshet.terminate()
        latency = status["latency"]["event_to_list_ms"]
        return {"events_per_s": sent_per_s, "lists": latency["count"], "p50_ms": latency["p50"],
                "p99_ms": latency["p99"], "max_ms": latency["max"], "steady_p50_ms": max((p50 for p50, _ in steady), default=None),
                "steady_p99_ms": max((p99 for _, p99 in steady), default=None), "steady_s": INTERVAL_S * len(steady),
                **({"trainings": len(trained), "training_s": statistics.median(trained)} if trains else {})}

    def intervals(self, begin, end):
        """(p50, p99) of the dashboard's intervals that lie between these times."""
        with urllib.request.urlopen(f"http://{self.freshet.status()['http']}/api/overview") as answer:
            series = json.load(answer)["series"]
        return [(p50, p99) for t, p50, p99 in zip(series["t"], series["event_to_list_p50_ms"], series["event_to_list_p99_ms"])
                if begin + INTERVAL_S <= t / 1000 <= end and p99 is not None]

    def path(self, name, rate, seconds):
        """The latencies of Kafka's own way, with nothing done to the records. `name`: of an instance that never runs, for its topic."""
        bare = self.instance(name)
        path, events = Stream(bare.folder).write(int(rate * seconds)), int(rate * seconds)
        command = [common.BUILD / "bench" / "line-driver", self.kafka.bootstrap, bare.topic, str(events)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
            ends = threading.Timer(seconds + LEFT_TO_DRAIN_S, driver.kill)
            ends.start()
            try:
                assert driver.stdout.readline() == "ready\n", "the driver has no partitions"
                bare.ask("replay", path, "--shuffle-ties", "1", "--rate", rate, timeout_s=600)
                said = driver.stdout.readline()
                assert said, "not all records came back from Kafka"
                return json.loads(said)
            finally:
                ends.cancel()
                driver.kill()


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def measure(line, options):
    line.learn_first_part()
    line.path("warm", WARM_UP_RATE, options.warm_up)  # until its compiler has come to rest, Kafka takes half a processor for itself
    rounds = [line.saturate() for _ in range(options.rounds)]
    figures = [figures for figures, _ in rounds]
    middle = sorted(range(len(rounds)), key=lambda i: figures[i]["events_per_s"])[len(rounds) // 2]
    saturation, profile = rounds[middle][0], rounds[0][1]
    for _, other in rounds[1:]:
        profile.add(other)
    spread = [f["events_per_s"] for f in figures]
    shares = profile.shares()
    plumbing = sum(share for name, share in shares.items() if name not in NO_PLUMBING)
    half = saturation["events_per_s"] / 2
    return rounded({
        "work": "line", "size": f"{SATURATION_PASSES} x {len(line.stream.rows)} events", "rank": SETTINGS["model"]["rank"],
        "peer": "none", **saturation, "events_per_s_from_to": [round(min(spread)), round(max(spread))],
        "plumbing": plumbing if shares else None, "stations": shares,
        "functions": [f"{share:.1%} {station}: {name}" for name, station, share in profile.top(options.functions)],
        "half": line.at_rate(int(half), options.seconds, False), "training": line.at_rate(int(half), options.seconds, True),
        "path": line.path("path", int(half), options.seconds),
    })


def show(row):
    print(f"saturation: {row['events_per_s']:.0f} events/s {row['events_per_s_from_to']}, {row['lists_per_s']:.0f} lists/s, "
          f"{row['cpu_us_per_event']} us of freshet's CPU an event, {row['cpu_us_per_list']} us a list; "
          f"share of the processors: {row['cpu_share']}")
    if row["plumbing"] is None:
        print("perf is not installed (package linux-perf): no shares by station")
    else:
        print(f"plumbing: {row['plumbing']:.1%} of freshet's CPU; "
              + ", ".join(f"{name} {share:.1%}" for name, share in row["stations"].items()))
        print("\n".join("    " + function for function in row["functions"]))
    for name in ("half", "training", "path"):
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row[name].items()))


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--seconds", type=float, default=26, help="how long the stream runs at half of saturation")
    parser.add_argument("--warm-up", type=float, default=60, help="how long Kafka works before anything is measured")
    parser.add_argument("--functions", type=int, default=24, help="how many functions to name")
    options = parser.parse_args()
    build()
    report = common.Report("line", options, {"perf": shutil.which("perf") is not None})
    folder = tempfile.mkdtemp(prefix="freshet-bench-")
    line = None
    try:
        line = Line(folder)
        row = measure(line, options)
        print(json.dumps({**row, "machine": report.machine}), flush=True) if options.json else show(row)
    finally:
        if line:
            line.close()
        shutil.rmtree(folder)


main()
