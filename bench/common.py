"""What the benchmarks share: our side as a driver program, peers as Python calls, alternated and reported alike."""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("FRESHET_BENCH_BUILD", TOP / "build-bench"))


class Driver:
    """A program of bench/driver.h: run(name) does the work once and returns its JSON line."""

    def __init__(self, name, *args, env=None):
        self.process = subprocess.Popen([BUILD / "bench" / f"{name}-driver", *map(str, args)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})})

    def run(self, name):
        self.process.stdin.write(f"run {name}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def peer(self, name):
        """As something to be alternated."""
        return lambda: self.run(name)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(call):
    """A Python call as something to be alternated; it may return a dict of fields."""

    def run():
        cpu, wall = time.process_time(), time.perf_counter()
        fields = call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu_ms": cpu * 1e3, "wall_ms": wall * 1e3, **(fields or {})}

    return run


def alternate(runs, rounds):
    """Runs each of {name: run} once to warm up, then `rounds` times in turn. {name: [results]}"""
    for run in runs.values():
        run()
    results = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            results[name].append(run())
    return results


def spread(results, field="cpu_ms"):
    """Median, and the distance between the quartiles as a share of it."""
    values = sorted(r[field] for r in results)
    middle = statistics.median(values)
    quarter = len(values) // 4
    return middle, (values[-1 - quarter] - values[quarter]) / middle if middle else 0.0


class Report:
    """Prints a line per comparison: readable, or with --json one JSON object each."""

    def __init__(self, work, options, versions):
        self.work, self.json = work, options.json
        processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii")
                          if line.startswith("model name")), platform.machine())
        self.machine = {"processor": processor, "cores": os.cpu_count(), **versions}
        if not self.json:
            print(", ".join(f"{k} {v}" for k, v in self.machine.items()))

    def line(self, rank, size, peer, ours, theirs, field="cpu_ms", **fields):
        """One (work, rank, size, peer): ratio = ours / peer, speedup its inverse."""
        mine, my_spread = spread(ours, field)
        other, other_spread = spread(theirs, field)
        row = {"work": self.work, "rank": rank, "size": size, "peer": peer, "ratio": round(mine / other, 4),
               "speedup": round(other / mine, 3), f"ours_{field}": round(mine, 4), f"peer_{field}": round(other, 4),
               "ours_spread": round(my_spread, 3), "peer_spread": round(other_spread, 3), **fields}
        if self.json:
            print(json.dumps({**row, "machine": self.machine}), flush=True)
        else:
            more = "".join(f"  {k} {v}" for k, v in fields.items())
            print(f"{self.work} rank {rank} {size} vs {peer}: {row['speedup']:.2f} x (ratio {row['ratio']:.3f}), "
                  f"{mine:.3f} {field[-2:]} +-{my_spread:.0%} to {other:.3f} {field[-2:]} +-{other_spread:.0%}{more}", flush=True)
        return row


def options(description, **defaults):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON line per comparison")
    parser.add_argument("--rounds", type=int, default=defaults.get("rounds", 5), help="how often A and B alternate")
    return parser


def note(text):
    print(text, file=sys.stderr, flush=True)
