"""Generated interactions shaped like recorded ones: popularity skewed, activity log-normal, tastes of kinds."""

import numpy as np
import scipy.sparse

SIZES = {  # users, items, interactions
    "1M": (6040, 3706, 1_000_000),  # as many as in MovieLens-1M
    "10M": (136_000, 20_000, 10_000_000),
}
KINDS = 64
VALUES = np.array([1, 2, 3, 4, 5], np.float32)  # in MovieLens-1M's proportions
VALUE_SHARES = [0.056, 0.107, 0.261, 0.349, 0.227]


def activity(rng, users, items, total):
    """How many interactions each user has: log-normal, at least 20, at most half of the items."""
    weight = rng.lognormal(0, 1.0, users)
    low, high = 0.0, float(total)
    for _ in range(60):  # the scale at which they add up to `total`
        scale = (low + high) / 2
        if np.clip(weight * scale, 20, items / 2).sum() < total:
            low = scale
        else:
            high = scale
    return np.clip(weight * low, 20, items / 2).astype(np.int64)


def interactions(users, items, total, seed=1):
    """csr_matrix [users, items] of float32 values 1 to 5; rows sorted by item."""
    rng = np.random.default_rng(seed)
    popularity = rng.lognormal(0, 1.4, items)
    taste = np.exp(rng.normal(0, 1.2, (KINDS, items)))
    cumulative = np.cumsum(popularity * taste, axis=1)
    cumulative /= cumulative[:, -1:]
    wanted = activity(rng, users, items, total)
    kinds = rng.integers(0, KINDS, (users, 2))
    kept = np.empty(0, np.int64)
    for _ in range(12):  # drawing again for what came twice
        have = np.bincount(kept // items, minlength=users)
        missing = np.maximum(wanted - have, 0)
        who = np.repeat(np.arange(users), missing + missing // 4)
        kind = kinds[who, rng.integers(0, 2, len(who))]
        drawn = np.empty(len(who), np.int64)
        u = rng.random(len(who))
        order = np.argsort(kind, kind="stable")
        edges = np.searchsorted(kind[order], np.arange(KINDS + 1))
        for k in range(KINDS):
            of_kind = order[edges[k] : edges[k + 1]]
            drawn[of_kind] = np.searchsorted(cumulative[k], u[of_kind])
        kept = np.unique(np.concatenate([kept, who * items + np.minimum(drawn, items - 1)]))
    kept = rng.permutation(kept)[:total]
    values = rng.choice(VALUES, len(kept), p=VALUE_SHARES)
    matrix = scipy.sparse.csr_matrix((values, (kept // items, kept % items)), shape=(users, items))
    matrix.sort_indices()
    return matrix
