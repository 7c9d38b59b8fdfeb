"""Throughput at saturation: real Kafka and Redis on this machine, the demo's events, all there before freshet starts.

    python3 bench/saturation.py [FRESHET-BINARY]      (default build/freshet)

The first part of the stream is learned and trained on beforehand, so that a generation is live; what is measured is the rest.
Prints events and lists a second from the first batch to the last list, the share of the processors' time that each process
took, and, if `perf` is installed, where freshet's own time went.
"""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("FRESHET_BIN", str(TOP / "build" / "freshet") if len(sys.argv) < 2 else sys.argv[1])
sys.path.insert(0, str(TOP / "tests" / "e2e"))

import harness  # noqa: E402
import services  # noqa: E402

STREAM, PARTITIONS = TOP / "data" / "online-retail.tsv.zst", 6
SPLIT_TS = 1305000000000  # 10 May 2011: 42% of the events come before
SETTINGS = {
    "model": {"rank": 64},
    "lists": {"n": 100},
    "history": {"max": 200, "seen_max": 1000},
    "train": {"first_events": 5000, "min_events": 50000, "every": "1h", "iterations": 12, "warm_iterations": 4},
}


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def profile(pid, folder):
    """Starts perf on freshet; returns what to call at the end."""
    if shutil.which("perf") is None:
        return lambda: print("(perf is not installed: no profile)")
    data = os.path.join(folder, "perf.data")
    perf = subprocess.Popen(["perf", "record", "-q", "-F", "199", "-p", str(pid), "-o", data],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def report():
        perf.send_signal(2)
        perf.wait()
        for by in ("dso", "symbol"):
            out = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "--sort", by],
                                 capture_output=True, text=True).stdout
            rows = [row.rstrip() for row in out.splitlines() if row.strip() and not row.startswith("#")]
            print(f"\nfreshet's own time by {by}:\n" + "\n".join(rows[:14]))

    return report


def main():
    folder = tempfile.mkdtemp(prefix="freshet-bench-")
    redis, kafka = services.Redis(folder), services.Kafka(folder)
    freshet = None
    try:
        redis.start()
        kafka.start()
        freshet = harness.Freshet(folder, "bench", kafka.bootstrap, redis.address, SETTINGS,
                                  event_types={"purchase": {"weight": 1.0}})
        kafka.create_topic(freshet.topic, PARTITIONS)
        kafka.create_topic(freshet.items_topic, 1, **{"cleanup.policy": "compact"})
        freshet.run("replay", str(STREAM), "--shuffle-ties", "1", "--to", str(SPLIT_TS), timeout_s=300)
        freshet.start()
        freshet.wait_generation(1)
        freshet.wait(lambda s: s["kafka"]["lag"] == 0 and s["owed"] == 0, "the first part is learned")
        learned = freshet.status()["records"]["applied"]
        freshet.terminate()
        freshet.run("replay", str(STREAM), "--shuffle-ties", "1", "--from", str(SPLIT_TS), timeout_s=300)
        events = sum(kafka.log_ends(freshet.topic, PARTITIONS).values()) - learned
        freshet.start()
        pids = {"freshet": freshet.process.pid, "redis": redis.process.pid, "kafka": kafka.process.pid}
        at_begin = freshet.status()  # it may have taken some already: those are not counted
        events -= at_begin["records"]["applied"] - learned
        begin, before = time.monotonic(), {name: cpu_s(pid) for name, pid in pids.items()}
        report = profile(freshet.process.pid, folder)
        while (now := freshet.status())["records"]["applied"] < learned + events or now["owed"] > 0:
            time.sleep(0.1)
        seconds = time.monotonic() - begin
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        status = freshet.status()
        report()
        latency = status["latency"]["event_to_list_ms"]
        print(json.dumps({
            "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "events": events, "seconds": round(seconds, 1),
            "events_per_s": round(events / seconds), "lists_per_s": round((status["lists"]["stored"] - at_begin["lists"]["stored"]) / seconds),
            "cpu_share": {name: round(s / seconds / os.cpu_count(), 3) for name, s in used.items()},
            "freshet_cpu_us_per_event": round(used["freshet"] / events * 1e6, 1),
            "learn_s": status["line"]["learn_s"], "score_s": status["line"]["score_s"],
            "swaps": status["generation"]["swaps"], "p99_ms": latency["p99"]}))
    finally:
        if freshet:
            freshet.end()
        kafka.stop()
        redis.stop()
        shutil.rmtree(folder)


main()
