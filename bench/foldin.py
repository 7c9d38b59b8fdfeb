"""Fold-in of users against fixed item factors, cold, one thread: bench/run.sh foldin [--json] [--alpha A]

Peers: implicit's least_squares_cg with its 3 steps, and its least_squares (Cholesky), on the same rows, objective
and regularization. Ours stops at a relative residual of 1e-5; `product` is ours at the daemon's 1e-6. The residual
that each side reached is in the line: |b - A x| / |b|, the 99th percentile of the users, computed here in float64.

The item factors are implicit's own after 5 iterations on interactions shaped like MovieLens-1M; values 1 to 5 times
alpha are the confidences. What is made once a generation (ours: the eigenbasis; theirs: Y'Y) is not in the figures.
"""

import pathlib
import tempfile

import implicit.cpu.als
import numpy as np
import scipy.sparse
from implicit.cpu._als import _least_squares, _least_squares_cg

import common
import shaped

LAMBDA = 0.01  # the default of implicit
SGD_RATE = 0.05  # the default of model.sgd_rate


def train(matrix, rank):
    model = implicit.cpu.als.AlternatingLeastSquares(
        factors=rank,
        regularization=LAMBDA,
        alpha=1.0,
        iterations=5,
        use_cg=True,
        num_threads=1,
        random_state=1,
        dtype=np.float32,
    )
    model.fit(matrix, show_progress=False)
    return np.ascontiguousarray(model.item_factors)


def make_users(popularity, count, each, alpha, seed=2):
    """Users of exactly `each` items, drawn by popularity without repetition (Efraimidis and Spirakis)."""
    rng = np.random.default_rng(seed)
    items = np.empty((count, each), np.uint32)
    for user in range(count):
        items[user] = np.argpartition(rng.exponential(size=len(popularity)) / popularity, each)[:each]
    values = rng.choice(shaped.VALUES, (count, each), p=shaped.VALUE_SHARES) * np.float32(alpha)
    return items, values


def residual(X, Y, items, values):
    """|b - A x| / |b| at the 99th percentile."""
    Y, X = Y.astype(np.float64), X.astype(np.float64)
    gram, worst = Y.T @ Y, []
    for x, row, c in zip(X[:500], items, values.astype(np.float64)):
        y = Y[row]
        b = c @ y
        worst.append(np.linalg.norm(b - gram @ x - LAMBDA * x - ((c - 1) * (y @ x)) @ y) / np.linalg.norm(b))
    return float(np.percentile(worst, 99))


def score_distance(X, exact, Y):
    """Mean over users of |scores - exact scores| / |exact scores|."""
    wanted = exact[:500].astype(np.float64) @ Y.T
    return float(
        np.mean(np.linalg.norm(X[:500].astype(np.float64) @ Y.T - wanted, axis=1) / np.linalg.norm(wanted, axis=1))
    )


def compare(report, folder, rank, each, alpha, Y, popularity, rounds):
    count = max(1000, 400_000 // each)
    items, values = make_users(popularity, count, each, alpha)
    Y.tofile(folder / "Y.f32")
    items.tofile(folder / "items.u32")
    values.tofile(folder / "values.f32")
    ours = common.Driver("foldin", folder, rank, count, each, LAMBDA, SGD_RATE)
    rows = scipy.sparse.csr_matrix(
        (values.ravel(), items.ravel().astype(np.int32), np.arange(count + 1, dtype=np.int32) * each),
        shape=(count, len(Y)),
    )
    X = np.zeros((count, rank), np.float32)
    gram = Y.T @ Y

    def cg():
        X[:] = 0
        _least_squares_cg(rows.indptr, rows.indices, rows.data, X, Y, LAMBDA, num_threads=1, cg_steps=3)

    def cholesky():
        _least_squares(gram, rows.indptr, rows.indices, rows.data, X, Y, LAMBDA, num_threads=1)

    results = common.alternate(
        {
            "ours": ours.peer("goal"),
            "cg": common.timed(cg),
            "cholesky": common.timed(cholesky),
            "product": ours.peer("product"),
            "sgd": ours.peer("sgd"),
        },
        rounds,
    )
    reached = {}
    for run, name in (("goal-save", "ours"), ("product-save", "product")):
        ours.run(run)
        exact = np.fromfile(folder / "X.f32", np.float32).reshape(count, rank)
        reached[name] = residual(exact, Y, items, values)
    ours.run("sgd-save")
    distance = score_distance(np.fromfile(folder / "X.f32", np.float32).reshape(count, rank), exact, Y)
    for call, name in ((cg, "cg"), (cholesky, "cholesky")):
        call()
        reached[name] = residual(X, Y, items, values)
    ours.close()
    first = results["ours"][0]
    microseconds = {name: [{"us": r["cpu_ms"] * 1e3 / count} for r in rs] for name, rs in results.items()}
    for peer, label in (("cg", "implicit-cg3"), ("cholesky", "implicit-cholesky")):
        for mine in ("ours", "product"):
            report.line(
                rank,
                f"n={each}",
                label,
                microseconds[mine],
                microseconds[peer],
                field="us",
                residual=f"{reached[mine]:.1e}",
                peer_residual=f"{reached[peer]:.1e}",
                alpha=alpha,
                limit="1e-5" if mine == "ours" else "1e-6",
                steps=results[mine][0]["steps"],
                kernel=first["kernel"],
                core=first["core"],
            )
    report.line(
        rank,
        f"n={each}",
        "sgd",
        microseconds["product"],
        microseconds["sgd"],
        field="us",
        alpha=alpha,
        rate=SGD_RATE,
        sgd_score_distance=round(distance, 4),
    )


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=7)
    parser.add_argument(
        "--alpha", type=float, default=1.0, help="confidence = alpha * value (1 to 5); 1 is implicit's default"
    )
    parser.add_argument("--ranks", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--interactions", type=int, nargs="+", default=[10, 50, 200])
    options = parser.parse_args()
    report = common.Report("foldin", options, {"implicit": implicit.__version__, "numpy": np.__version__})
    matrix = shaped.interactions(*shaped.SIZES["1M"])
    popularity = np.bincount(matrix.indices, minlength=matrix.shape[1]) + 0.1
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        for rank in options.ranks:
            Y = train(matrix * np.float32(options.alpha), rank)
            for each in options.interactions:
                compare(report, pathlib.Path(folder), rank, each, options.alpha, Y, popularity, options.rounds)


main()
