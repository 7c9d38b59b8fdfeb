"""Factors to make lists from: random ones, and trained ones from generated ratings; made once and kept in the cache.

Generated ratings look like a film site's: an item belongs to one of 50 genres, a user likes three of them, and
popularity within a genre falls off by a power law. Trained with `implicit`, then rotated into the eigenvectors of the
items' Gram matrix, as the daemon does when it loads a generation. Scores are the same in either basis.
"""

import os
import pathlib

import common
import numpy as np
import scipy.sparse as sp

GENRES, LIKED, LIKED_SHARES, STRAY = 50, 3, [0.6, 0.25, 0.15], 0.15
REGULARIZATION, ALPHA, ITERATIONS = 0.01, 10.0, 6
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "freshet" / "factors"


def shelves(draw, items):
    """The items of each genre, and how popular each is beside the others of it."""
    genre = draw.integers(0, GENRES, items)
    members = [np.flatnonzero(genre == g) for g in range(GENRES)]
    return members, [(1 / np.arange(1, len(m) + 1) ** 0.9) for m in members]


def ratings(users, items, per_user, seed):
    """[users, items] CSR of ones."""
    draw = np.random.default_rng(seed)
    members, shares = shelves(draw, items)
    sums = [np.cumsum(s) / s.sum() for s in shares]
    counts = np.maximum(20, draw.lognormal(np.log(per_user * 0.6), 1.0, users)).astype(int).clip(max=items // 8)
    rows = np.repeat(np.arange(users), counts)
    liked = draw.integers(0, GENRES, (users, LIKED))
    of = liked[rows, draw.choice(LIKED, len(rows), p=LIKED_SHARES)]
    stray = draw.random(len(rows)) < STRAY
    of[stray] = draw.integers(0, GENRES, int(stray.sum()))
    columns = np.empty(len(rows), np.int64)
    for g in range(GENRES):
        mine = np.flatnonzero(of == g)
        columns[mine] = members[g][np.searchsorted(sums[g], draw.random(len(mine))).clip(max=len(members[g]) - 1)]
    matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(users, items))
    matrix.data[:] = 1
    return matrix


def fold_in(Y, G, seen):
    """The row that `implicit` would solve: confidence alpha, w0 = 1."""
    A = G + REGULARIZATION * np.eye(len(G)) + (ALPHA - 1) * Y[seen].T @ Y[seen]
    return np.linalg.solve(A, ALPHA * Y[seen].sum(0))


def basis(Y):
    return np.linalg.eigh(Y.T.astype("f8") @ Y)[1][:, ::-1]


def train(matrix, rank):
    """Item and user factors in the eigenbasis."""
    from implicit.cpu.als import AlternatingLeastSquares
    common.note(f"training rank {rank} on {matrix.nnz} generated ratings of {matrix.shape[1]} items, once")
    model = AlternatingLeastSquares(factors=rank, regularization=REGULARIZATION, alpha=ALPHA, iterations=ITERATIONS,
                                    num_threads=os.cpu_count(), random_state=1)
    model.fit(matrix, show_progress=False)
    V = basis(model.item_factors)
    return (model.item_factors @ V).astype("f4"), (model.user_factors @ V).astype("f4")


def cached(name, make):
    """A directory of what `make` returns as {name: array}: .f32, or if sparse .npz, .begin (u64), .columns (u32)."""
    path = CACHE / name
    if not path.exists():
        aside = path.with_name(path.name + ".part")
        aside.mkdir(parents=True, exist_ok=True)
        for key, array in make().items():
            if sp.issparse(array):
                array.sort_indices()
                sp.save_npz(aside / f"{key}.npz", array)
                array.indptr.astype("u8").tofile(aside / f"{key}.begin")
                array.indices.astype("u4").tofile(aside / f"{key}.columns")
            else:
                np.ascontiguousarray(array).tofile(aside / f"{key}.f32")
        aside.rename(path)
    return path


def read(path, name, rank):
    return np.fromfile(path / f"{name}.f32", "f4").reshape(-1, rank)


def for_topn(kind, rank, items, users):
    """A directory with Y, X, and before: users' factors before their latest event."""

    def random():
        draw = np.random.default_rng(rank)
        before = draw.standard_normal((users, rank), "f4")  # 10% is what one event among fifty moves
        return {"Y": draw.standard_normal((items, rank), "f4"), "before": before,
                "X": before + np.float32(0.1) * draw.standard_normal((users, rank), "f4")}

    def trained():
        matrix = ratings(60000, items, 100, 7)
        Y, _ = train(matrix, rank)
        G = Y.T.astype("f8") @ Y
        some = np.random.default_rng(3).choice(matrix.shape[0], users, replace=False)
        seen = [np.random.default_rng(u).permutation(matrix[u].indices) for u in some]
        return {"Y": Y, "X": np.array([fold_in(Y, G, s) for s in seen], "f4"),
                "before": np.array([fold_in(Y, G, s[:-1]) for s in seen], "f4")}

    return cached(f"topn-{kind}-{items}-{users}-{rank}-1", random if kind == "random" else trained)


def for_lists(rank, items, users, per_user, trained_users):
    """A directory with Y, X and the ratings of `users` users."""

    def make():
        matrix = ratings(trained_users, items, per_user, 11)
        Y, X = train(matrix, rank)
        return {"Y": Y, "X": X[:users], "seen": matrix[:users]}

    return cached(f"lists-{items}-{users}-{rank}-1", make)


GROWTH_SEED = 13


def for_growth(rank, items):
    """A directory with Y."""
    return cached(f"growth-{items}-{rank}-1", lambda: {"Y": train(ratings(60000, items, 100, GROWTH_SEED), rank)[0]})


def histories(items, users, each):
    """[users, each] items, drawn as `ratings` draws them, but each user's all different (Efraimidis and Spirakis)."""
    members, shares = shelves(np.random.default_rng(GROWTH_SEED), items)
    draw = np.random.default_rng(each)
    everywhere, of = np.empty(items), np.zeros(items)
    for m, s in zip(members, shares):
        everywhere[m] = STRAY / GENRES * s / s.sum()
    rows = np.empty((users, each), "u4")
    for row in rows:
        of[:] = everywhere
        for g, share in zip(draw.integers(0, GENRES, LIKED), LIKED_SHARES):
            of[members[g]] += (1 - STRAY) * share * shares[g] / shares[g].sum()
        row[:] = np.argpartition(draw.exponential(size=items) / of, each)[:each]
        draw.shuffle(row)
    return rows
