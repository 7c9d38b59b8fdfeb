"""Exact top-100 of 200,000 items for 256 users, one core: our kernels against OpenBLAS's product alone and `implicit`.

    bench/run.sh topn [--json] [--items N] [--ranks 64,128] [--filters avx512,avx2,...]

`sgemm` is the whole 256 x 200,000 product by OpenBLAS and nothing else: no list is selected from it. It is taken at
the core type and shape that are fastest here; AVX2 kernels are compared with the one of Haswell. `warm` starts from the
user's list as it was before the latest event, `cold` from nothing. Both give the same lists, bit for bit, which the
driver checks. `probe` is the kernel's rate as a share of what multiply-adds reach in registers alone.
"""

import common
import factors
import numpy as np

CORES = ["Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids"]
USERS, N = 256, 100


def median(results):
    return common.spread(results)[0]


def best_core(arguments, cores):
    """The fastest (core type, run) for the product, and its driver."""
    found = {}
    for core in cores:
        driver = common.Driver("topn", *arguments, env={"OPENBLAS_CORETYPE": core})
        runs = common.alternate({"sgemm": driver.peer("sgemm"), "sgemm-t": driver.peer("sgemm-t")}, 3)
        for run, results in runs.items():
            found[(core, run)] = (median(results), results[0]["core"])
        driver.close()
    core, run = min(found, key=found.get)
    return core, run


def implicit_topk(path, rank):
    from implicit.cpu.topk import topk
    Y, X = factors.read(path, "Y", rank), factors.read(path, "X", rank)
    return common.timed(lambda: topk(Y, X, N, num_threads=1) and None)


def fma_share(driver, operations, runs):
    """Operations a second of the lists and of the kernel alone, as shares of what the core does in registers."""
    probe = runs["probe"][0]["operations"] / median(runs["probe"])
    return {f"probe_{name}": round(operations / median(runs[name]) / probe, 3) for name in ("kernel", "warm")}


def compare(report, options, kind, rank, filter_name):
    path = factors.for_topn(kind, rank, options.items, USERS)
    arguments = [path, rank, options.items, USERS]
    core, shape = best_core([*arguments, "plain"], ["Haswell"] if filter_name.endswith("avx2") else CORES)
    ours = common.Driver("topn", *arguments, filter_name)
    sgemm = common.Driver("topn", *arguments, "plain", env={"OPENBLAS_CORETYPE": core})
    runs = common.alternate({"warm": ours.peer("warm"), "cold": ours.peer("cold"), "sgemm": sgemm.peer(shape),
                             "implicit": implicit_topk(path, rank), "kernel": ours.peer("kernel"),
                             "probe": ours.peer("probe")}, options.rounds)
    ours.close()
    sgemm.close()
    fields = {"factors": kind, "kernel": filter_name,
              "probe": fma_share(ours, 2.0 * rank * options.items * USERS, runs)["probe_kernel"]}
    for threshold in ("warm", "cold"):
        report.line(rank, f"{USERS}x{options.items}", "sgemm", runs[threshold], runs["sgemm"], threshold=threshold,
                    core=runs["sgemm"][0]["core"], **fields)
        report.line(rank, f"{USERS}x{options.items}", "implicit", runs[threshold], runs["implicit"],
                    threshold=threshold, **fields)


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=7)
    parser.add_argument("--items", type=int, default=200000)
    parser.add_argument("--ranks", default="64,128")
    parser.add_argument("--filters", default="bytes-vnni,bytes-avx512,avx512,bytes-avx2,avx2")
    options = parser.parse_args()
    import implicit
    report = common.Report("topn", options, {"implicit": implicit.__version__, "numpy": np.__version__})
    for rank in map(int, options.ranks.split(",")):
        for kind in ("random", "trained"):
            for filter_name in options.filters.split(","):
                compare(report, options, kind, rank, filter_name)


main()
