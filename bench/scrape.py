"""What one look at a running daemon costs: /metrics and /api/overview with ten arms, over one connection.

    bench/run.sh scrape [--json] [--rounds N]

The demo's events through the embedded broker, all learned and published before; then each page is asked for --rounds times in
turn. wall: as the client sees it; cpu: freshet's own, an answer.
"""

import http.client
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import common

os.environ["FRESHET_BIN"] = str(common.BUILD / "freshet")
sys.path.insert(0, str(common.TOP / "tests" / "e2e"))

import harness  # noqa: E402
import services  # noqa: E402

STREAM, EVENTS = common.TOP / "data" / "online-retail.tsv.zst", 40_000
ARMS = {"control": {"control": True}, **{f"arm{i}": {"share": 0.1, "lists": {"n": 90 + i}} for i in range(1, 10)}}
SETTINGS = {
    "experiment": {"id": "scrape"}, "arms": ARMS, "lists": {"n": 100}, "model": {"rank": 64},
    "train": {"first_events": 5000, "min_events": 100_000_000},
}
PAGES = ("/metrics", "/api/overview")


def cpu_ms(pid):
    fields = open(f"/proc/{pid}/schedstat", encoding="ascii").read().split()
    return int(fields[0]) / 1e6  # of the main thread: the loop, which makes the answers


def ask(connection, page, pid):
    cpu, wall = cpu_ms(pid), time.perf_counter()
    connection.request("GET", page)
    body = connection.getresponse().read()
    return {"wall_ms": (time.perf_counter() - wall) * 1e3, "cpu_ms": cpu_ms(pid) - cpu, "bytes": len(body)}


def started(folder):
    redis = services.Redis(folder)
    broker = services.Broker(folder, harness.BINARY, ["scrape-events", "scrape-items", "scrape-events.dead"], 3)
    redis.start()
    broker.start()
    types = {"purchase": {"weight": 1, "hides": True}}
    daemon = harness.Freshet(folder, "scrape", broker.bootstrap, redis.address, SETTINGS, types)
    daemon.start()
    daemon.ask("replay", STREAM, "--limit", EVENTS)
    daemon.wait_generation()
    daemon.wait_drained(EVENTS)
    return daemon, broker, redis


def main():
    options = common.options(__doc__.splitlines()[0], rounds=300).parse_args()
    report = common.Report("scrape", options, {})
    folder = tempfile.mkdtemp(prefix="freshet-bench-")
    parts = []
    try:
        daemon, broker, redis = parts = started(folder)
        host, port = daemon.status()["http"].split(":")
        connection = http.client.HTTPConnection(host, int(port))
        results = common.alternate({p: lambda p=p: ask(connection, p, daemon.process.pid) for p in PAGES}, options.rounds)
        for page, rows in results.items():
            wall, cpu = (sorted(row[field] for row in rows) for field in ("wall_ms", "cpu_ms"))
            row = {"work": "scrape", "page": page, "arms": len(ARMS), "bytes": rows[-1]["bytes"], "wall_ms": wall[len(wall) // 2],
                   "wall_ms_p99": wall[len(wall) * 99 // 100], "cpu_ms": cpu[len(cpu) // 2]}
            print(json.dumps({**row, "machine": report.machine}) if options.json else
                  f"{page}: {len(ARMS)} arms, {row['bytes']} bytes, median {row['wall_ms']:.2f} ms, p99 {row['wall_ms_p99']:.2f} ms, "
                  f"{row['cpu_ms']:.2f} ms of freshet's CPU", flush=True)
    finally:
        if parts:
            parts[0].end()
            parts[1].stop()
            parts[2].stop()
        shutil.rmtree(folder)


main()
