"""Gradient steps of random users by random items, one thread: bench/run.sh sgd [--json]

The limit is memory: a step reads x and y and writes x, 3 * 4 * rank bytes. The peer `memory` moves as many bytes through the same
two matrices in order, which is as fast as this processor's one core gets them; `speedup` is the share of that limit reached.
"""

import common

USERS, ITEMS, STEPS = 500_000, 200_000, 1_000_000  # at rank 64: 128 and 51 MB, beyond the caches


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=7)
    parser.add_argument("--ranks", type=int, nargs="+", default=[64, 128])
    options = parser.parse_args()
    report = common.Report("sgd", options, {})
    for rank in options.ranks:
        driver = common.Driver("sgd", rank, USERS, ITEMS, STEPS)
        results = common.alternate({name: driver.peer(name) for name in ("steps", "single", "probe")}, options.rounds)
        driver.close()
        nanoseconds = {name: [{"ns": r["cpu_ms"] * 1e6 / STEPS} for r in rs] for name, rs in results.items()}
        probe_ns = common.spread(nanoseconds["probe"], "ns")[0]
        fields = {"users": USERS, "items": ITEMS, "probe_gb_s": round(3 * 4 * rank / probe_ns, 2), "kernel": results["steps"][0]["kernel"]}
        report.line(rank, "batch", "memory", nanoseconds["steps"], nanoseconds["probe"], field="ns", **fields)
        report.line(rank, "single", "memory", nanoseconds["single"], nanoseconds["probe"], field="ns", **fields)


main()
