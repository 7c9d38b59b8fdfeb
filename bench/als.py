"""Full ALS, iteration by iteration: bench/run.sh als [--json] [--sizes 1M 10M] [--ranks 64 128] [--spark] [--parity]

All sides start from the same factors and are one iteration further in each round: implicit with its 3 conjugate-
gradient steps and with Cholesky, one thread to one thread and two to two. Objective `implicit`, lambda not scaled:
the loss of each side, computed here by one function in float64 after the same number of iterations, is in the line;
so is the memory of training by itself, as a multiple of ratings (both ways) and factors. What two threads bring is
shown beside what they bring to a loop of multiply-adds.

--spark adds Spark MLlib's ALS (local[2], implicitPrefs), whose time an iteration is the difference between runs of
many and of few iterations; ours starts from Spark's random factors, with its objective (`hu`, lambda scaled by
count), rows solved to 1e-6. --parity trains both sides for 15 iterations and prints losses and NDCG@20 on held-out
interactions.
"""

import pathlib
import tempfile

import implicit
import numpy as np
from implicit.cpu._als import least_squares, least_squares_cg

import common
import shaped

LAMBDA = 0.01
PAIR = np.dtype([("row", "<u4"), ("p", "<f4"), ("q", "<f4")])


def write(folder, matrix, X, Y, objective="implicit"):
    """What the driver reads: values are c of `implicit` (p = c - 1, q = c), or of `hu` (p = c, q = c + 1)."""
    pairs = np.empty(matrix.nnz, PAIR)
    pairs["row"] = matrix.indices
    pairs["p"] = matrix.data - (objective == "implicit")
    pairs["q"] = matrix.data + (objective == "hu")
    pairs.tofile(folder / "pairs.bin")
    matrix.indptr.astype(np.uint64).tofile(folder / "begin.u64")
    X.tofile(folder / "X.f32")
    Y.tofile(folder / "Y.f32")


def read(folder, name, rank):
    return [np.fromfile(folder / f"{side}.f32.{name}", np.float32).reshape(-1, rank) for side in "XY"]


def loss(matrix, X, Y, scaled=False, objective="implicit"):
    """sum over seen of p s^2 - 2 q s + q, all s^2, and lambda: what all sides minimise, in float64."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    total = np.sum((X.T @ X) * (Y.T @ Y))
    for at in range(0, matrix.nnz, 1 << 20):
        part = slice(at, at + (1 << 20))
        s = np.einsum("ij,ij->i", X[rows[part]], Y[matrix.indices[part]])
        c = matrix.data[part].astype(np.float64)
        p, q = (c - 1, c) if objective == "implicit" else (c, c + 1)
        total += np.sum(p * s * s - 2 * q * s + q)
    of_user = np.diff(matrix.indptr) if scaled else 1
    of_item = np.bincount(matrix.indices, minlength=matrix.shape[1]) if scaled else 1
    return float(total + LAMBDA * (np.sum(of_user * np.sum(X * X, axis=1)) + np.sum(of_item * np.sum(Y * Y, axis=1))))


class Peer:
    """implicit's solver, an iteration a call."""

    def __init__(self, solver, matrix, transposed, X, Y, threads, **more):
        self.solver, self.sides, self.X, self.Y = solver, (matrix, transposed), X.copy(), Y.copy()
        self.more = {"num_threads": threads, **more}

    def __call__(self):
        self.solver(self.sides[0], self.X, self.Y, LAMBDA, **self.more)
        self.solver(self.sides[1], self.Y, self.X, LAMBDA, **self.more)


def start(matrix, rank):
    """As implicit starts: small and positive."""
    rng = np.random.default_rng(3)
    return [(rng.random((rows, rank)) * 0.01).astype(np.float32) for rows in matrix.shape]


def memory(folder, matrix, rank):
    """Peak of a process that only trains, by ratings both ways and factors: beyond what it takes empty, and in all."""
    driver = common.Driver("als", folder, rank, LAMBDA, "none", 0, "ONLY")
    usage = [driver.run("one") for _ in range(2)][-1]
    driver.close()
    data = (2 * matrix.nnz * PAIR.itemsize + sum(matrix.shape) * (rank * 4 + 8)) / 2**20
    return {
        "base_mb": usage["base_mb"],
        "peak_mb": usage["peak_mb"],
        "data_mb": round(data, 1),
        "memory": round((usage["peak_mb"] - usage["base_mb"]) / data, 3),
        "memory_with_base": round(usage["peak_mb"] / data, 3),
    }


def compare(report, folder, size, matrix, rank, options):
    transposed = matrix.T.tocsr()
    X, Y = start(matrix, rank)
    write(folder, matrix, X, Y)
    used = memory(folder, matrix, rank)
    # Rows as training solves them beside three steps, and solved out beside Cholesky: the loss shows if that is fair.
    drivers = {
        "cg": common.Driver("als", folder, rank, LAMBDA, "none", 0),
        "cholesky": common.Driver("als", folder, rank, LAMBDA, "none", 1e-6),
    }
    solvers = {"cg": (least_squares_cg, {"cg_steps": 3}), "cholesky": (least_squares, {})}
    runs, peers = {}, {}
    for kind in options.peers:
        solver, more = solvers[kind]
        for threads, name in ((1, "one"), (2, "two")):
            peers[kind, threads] = Peer(solver, matrix, transposed, X, Y, threads, **more)
            runs[kind, threads, "peer"] = common.timed(peers[kind, threads])
            runs[kind, threads, "ours"] = drivers[kind].peer(name)
    runs["probe", 1], runs["probe", 2] = drivers["cg"].peer("probe-one"), drivers["cg"].peer("probe-two")
    results = common.alternate(runs, options.rounds if size == "1M" else min(options.rounds, options.rounds_10m))
    wall = {run: round(common.spread(result, "wall_ms")[0], 2) for run, result in results.items()}
    for (kind, threads), peer in peers.items():
        mine = results[kind, threads, "ours"]
        drivers[kind].run("one-save" if threads == 1 else "two-save")
        own = read(folder, "one" if threads == 1 else "two", rank)
        report.line(
            rank,
            size,
            {"cg": "implicit-cg3", "cholesky": "implicit-cholesky"}[kind],
            mine,
            results[kind, threads, "peer"],
            threads=threads,
            loss=loss(matrix, *own),
            peer_loss=loss(matrix, peer.X, peer.Y),
            iterations=1 + len(mine),
            residual=1e-3 if kind == "cg" else 1e-6,
            ours_wall_ms=wall[kind, threads, "ours"],
            peer_wall_ms=wall[kind, threads, "peer"],
            kernel=mine[0]["kernel"],
            core=mine[0]["core"],
            **used,
        )
    for kind in options.peers:
        report.line(
            rank,
            size,
            "one-thread",
            results[kind, 2, "ours"],
            results[kind, 1, "ours"],
            field="wall_ms",
            threads=2,
            residual=1e-3 if kind == "cg" else 1e-6,
            probe_speedup=round(wall["probe", 1] / wall["probe", 2], 3),
        )
    for driver in drivers.values():
        driver.close()


def compare_spark(report, folder, size, matrix, rank, options):
    import als_spark

    iterations = 2 + options.spark_iterations
    spark = als_spark.measure(matrix, rank, LAMBDA, few=2, many=iterations, rounds=options.spark_rounds)
    # Spark makes the items from the users first: the same order for ours is the transposed problem.
    turned = matrix.T.tocsr()
    write(folder, turned, spark["Y0"], spark["X0"], objective="hu")
    ours = common.Driver("als", folder, rank, LAMBDA, "count", 1e-6)
    results = [ours.run("two") for _ in range(iterations)]
    ours.run("two-save")
    fields = {
        "threads": 2,
        "iterations": iterations,
        "residual": 1e-6,
        "loss": loss(turned, *read(folder, "two", rank), scaled=True, objective="hu"),
        "peer_loss": loss(turned, spark["Y"], spark["X"], scaled=True, objective="hu"),
    }
    ours.close()
    report.line(rank, size, "spark", results, spark["iterations"], **fields)
    report.line(rank, size, "spark", results, spark["iterations"], field="wall_ms", **fields)


def ndcg(X, Y, seen, held, k=20):
    """NDCG@k of each user with held-out items; what was trained on is left out of the lists."""
    discount, values = 1 / np.log2(np.arange(2, k + 2)), []
    for user in range(len(X)):
        wanted = held.indices[held.indptr[user] : held.indptr[user + 1]]
        if len(wanted) == 0:
            continue
        scores = Y @ X[user]
        scores[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = -np.inf
        top = np.argpartition(-scores, k)[:k]
        hits = np.isin(top[np.argsort(-scores[top])], wanted)
        values.append(hits @ discount / discount[: min(k, len(wanted))].sum())
    return np.array(values)


def parity(report, folder, matrix, rank, iterations=15):
    """Trained on nine tenths: both losses, and both NDCG@20 with the standard error of their paired difference."""
    rng = np.random.default_rng(4)
    held = matrix.copy()
    chosen = rng.random(matrix.nnz) < 0.1
    train = matrix.copy()
    train.data[chosen] = 0
    held.data[~chosen] = 0
    train.eliminate_zeros()
    held.eliminate_zeros()
    X, Y = start(train, rank)
    write(folder, train, X, Y)
    ours = common.Driver("als", folder, rank, LAMBDA, "none", 0)
    mine = [ours.run("one") for _ in range(iterations)]
    ours.run("one-save")
    own = read(folder, "one", rank)
    ours.close()
    own_loss, own_ndcg = loss(train, *own), ndcg(*own, train, held)
    for name, solver in (("implicit-cg3", least_squares_cg), ("implicit-cholesky", least_squares)):
        peer = Peer(solver, train, train.T.tocsr(), X, Y, 1)
        theirs = [common.timed(peer)() for _ in range(iterations)]
        peer_loss, peer_ndcg = loss(train, peer.X, peer.Y), ndcg(peer.X, peer.Y, train, held)
        difference = own_ndcg - peer_ndcg
        report.line(
            rank,
            "parity",
            name,
            mine,
            theirs,
            iterations=iterations,
            loss=own_loss,
            peer_loss=peer_loss,
            loss_ratio=round(own_loss / peer_loss, 8),
            ndcg20=round(own_ndcg.mean(), 5),
            peer_ndcg20=round(peer_ndcg.mean(), 5),
            ndcg20_se=round(own_ndcg.std(ddof=1) / np.sqrt(len(own_ndcg)), 5),
            difference=round(difference.mean(), 6),
            se=round(difference.std(ddof=1) / np.sqrt(len(difference)), 6),
        )


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=7)
    parser.add_argument("--sizes", nargs="+", default=["1M", "10M"], choices=list(shaped.SIZES))
    parser.add_argument("--ranks", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--peers", nargs="*", default=["cg", "cholesky"], choices=["cg", "cholesky"])
    parser.add_argument("--rounds-10m", type=int, default=3, help="at 10M, where Cholesky takes minutes")
    parser.add_argument("--spark", action="store_true", help="Spark MLlib too, at 1M (needs Java; some minutes)")
    parser.add_argument("--spark-iterations", type=int, default=10)
    parser.add_argument("--spark-rounds", type=int, default=3)
    parser.add_argument("--parity", action="store_true", help="losses and NDCG@20 of both sides instead of speed")
    options = parser.parse_args()
    report = common.Report("als", options, {"implicit": implicit.__version__, "numpy": np.__version__})
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        for size in ["1M"] if options.parity else options.sizes:
            matrix = shaped.interactions(*shaped.SIZES[size])
            for rank in options.ranks:
                if options.parity:
                    parity(report, pathlib.Path(folder), matrix, rank)
                    continue
                compare(report, pathlib.Path(folder), size, matrix, rank, options)
                if options.spark and size == "1M":
                    compare_spark(report, pathlib.Path(folder), size, matrix, rank, options)


main()
