"""Gradient steps of random users by random items, one thread: bench/run.sh sgd [--json]

The limit is memory: a step reads x and y and writes x, 3 * 4 * rank bytes. Two probes move as many bytes by the
least arithmetic there is, x <- x + c y: `memory` through the rows in order, which is all that one core gets out of
this machine; `memory-rows` through the rows that the steps take, in their order and fetched ahead alike. `speedup`
is the share of that limit reached. `batch` is sgd_steps, `single` a call of sgd_step for each.
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
        results = common.alternate(
            {name: driver.peer(name) for name in ("steps", "single", "probe", "probe-rows")}, options.rounds
        )
        driver.close()
        nanoseconds = {name: [{"ns": r["cpu_ms"] * 1e6 / STEPS} for r in rs] for name, rs in results.items()}
        for probe, peer in (("probe", "memory"), ("probe-rows", "memory-rows")):
            gb_s = round(3 * 4 * rank / common.spread(nanoseconds[probe], "ns")[0], 2)
            for run, size in (("steps", "batch"), ("single", "single")):
                report.line(
                    rank,
                    size,
                    peer,
                    nanoseconds[run],
                    nanoseconds[probe],
                    field="ns",
                    users=USERS,
                    items=ITEMS,
                    probe_gb_s=gb_s,
                    kernel=results[run][0]["kernel"],
                )


main()
