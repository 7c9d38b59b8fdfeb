"""Top-100 lists of all users from given factors, seen items left out: Freshet against `implicit`'s recommend, one core.

    bench/run.sh lists [--json] [--ranks 64,128]

3,700 items for 6,040 users (the shape of MovieLens 1M) and 200,000 items for 3,000 users, factors trained on generated
ratings. `cold` starts from nothing, as `recommend` does; `warm` from each user's list as it was when his factors were
up to a tenth different. `sums_differ` compares the lists with those of `implicit`: the sum of items times places (the
last bits of scores, and so a few places, may differ).
"""

import common
import factors
import numpy as np
import scipy.sparse as sp

N = 100
SHAPES = [(3700, 6040, 165, 6040), (200000, 3000, 100, 60000)]  # items, users, ratings a user, users trained on


def implicit_recommend(path, rank):
    from implicit.cpu.als import AlternatingLeastSquares
    seen = sp.load_npz(path / "seen.npz")
    model = AlternatingLeastSquares(factors=rank, num_threads=1)
    model.item_factors, model.user_factors = factors.read(path, "Y", rank), factors.read(path, "X", rank)
    users = np.arange(seen.shape[0])
    weights = np.arange(1.0, N + 1)

    def run():
        ids, _ = model.recommend(users, seen, N=N, filter_already_liked_items=True)
        return {"sum": float((ids * weights).sum())}

    return common.timed(run)


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--ranks", default="64,128")
    options = parser.parse_args()
    import implicit
    report = common.Report("lists", options, {"implicit": implicit.__version__, "numpy": np.__version__})
    for items, users, per_user, trained_users in SHAPES:
        for rank in map(int, options.ranks.split(",")):
            path = factors.for_lists(rank, items, users, per_user, trained_users)
            ours = common.Driver("lists", path, rank, items, users)
            runs = common.alternate({"warm": ours.peer("warm"), "cold": ours.peer("cold"),
                                     "implicit": implicit_recommend(path, rank)}, options.rounds)
            ours.close()
            assert runs["warm"][0]["sum"] == runs["cold"][0]["sum"], "warm and cold lists differ"
            off = abs(runs["cold"][0]["sum"] / runs["implicit"][0]["sum"] - 1)
            for threshold in ("cold", "warm"):
                us_per_list = round(common.spread(runs[threshold])[0] * 1e3 / users, 2)
                report.line(rank, f"{users}x{items}", "implicit", runs[threshold], runs["implicit"],
                            threshold=threshold, us_per_list=us_per_list, sums_differ=f"{off:.1e}")


main()
