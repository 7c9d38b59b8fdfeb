"""What the daemon says its lists do, against the formulas of docs/METRICS.md written down again.

REFERENCE_BIN is tests/reference/figures.c, built: it prints what happens in a small shop, and last the daemon's figures.
Counts must be the same; means agree to the six digits that are printed.
"""

import collections
import json
import math
import os
import re
import subprocess
import unittest

import numpy
import xxhash

SEEDS = [1, 2, 3]
BATCHES = 1600  # enough for more lists than the window of coverage has
DEPTH = 20
WINDOW = 2048
P = 0.9
PROBE_ONE_IN = 64
NEIGHBOURS, AMONG = 10, 1024
CHR_MIN = 3
VALUES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, 500, 1000]
WEIGHTS = {"view": 1, "buy": 2, "glance": 0}
HIDES, COUNTS = {"buy"}, {"view", "buy"}
VERSION = re.compile(r"([0-9a-f]{8})\.([0-9a-f]{4})\.([0-9a-f]{16})\.([0-9a-f]{8})")


def jaccard_distance(a, b, k):
    a, b = set(a[:k]), set(b[:k])
    return 1 - len(a & b) / len(a | b) if a | b else 0


def rbo_distance(a, b):
    """1 - RBO of Webber, Moffat, Zobel 2010, extrapolated from the shorter list's depth."""
    depth = min(len(a), len(b))
    if depth == 0:
        return 0 if a == b else 1
    common = [len(set(a[:d]) & set(b[:d])) for d in range(1, depth + 1)]
    terms = sum(P**d * common[d - 1] / d for d in range(1, depth + 1))
    return 1 - (P**depth * common[-1] / depth + (1 - P) / P * terms)


def rank_in(items, item):
    return items.index(item) + 1 if item in items[:DEPTH] else 0


def mean(values):
    return sum(values) / len(values) if values else None


class Generation:
    def __init__(self, told):
        self.number = told["number"]
        self.w0, self.lam, self.alpha = told["w0"], told["lambda"], told["alpha"]
        self.row = {name: at for at, (name, *_) in enumerate(told["rows"])}
        self.factors = numpy.array([y for _, *y in told["rows"]])
        self.gram = self.factors.T @ self.factors

    def fold_in(self, interactions):
        """(w0 G + lambda I + sum c y y') x = sum c y; None without a pair."""
        c = collections.Counter()
        for one in interactions:
            if one["item"] in self.row and WEIGHTS[one["type"]]:
                c[self.row[one["item"]]] += self.alpha * WEIGHTS[one["type"]]
        if not c:
            return None
        a = self.w0 * self.gram + self.lam * numpy.eye(len(self.gram))
        b = numpy.zeros(len(a))
        for row, weight in c.items():
            a += weight * numpy.outer(self.factors[row], self.factors[row])
            b += weight * self.factors[row]
        return numpy.linalg.solve(a, b)

    def cosines(self, row):
        lengths = numpy.linalg.norm(self.factors, axis=1)
        return self.factors @ self.factors[row] / (lengths * lengths[row])

    def diversity(self, items):
        rows = [self.row[item] for item in items if item in self.row]
        lengths = numpy.linalg.norm(self.factors, axis=1)
        cosine = lambda a, b: self.factors[a] @ self.factors[b] / (lengths[a] * lengths[b])  # noqa: E731
        pairs = [cosine(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
        return 1 - mean(pairs) if pairs else None


class User:
    def __init__(self):
        self.interactions, self.list, self.acked, self.scored_at = [], [], None, -1
        self.changed_events = 0

    def knows(self, item):
        return any(one["item"] == item for one in self.interactions)

    def may_get(self, item, blocked):
        hidden = any(one["item"] == item and one["type"] in HIDES for one in self.interactions)
        return not hidden and item not in blocked


class Count:
    """Of events, by the ranks of their items."""

    def __init__(self):
        self.ranks = []

    def of(self):
        hits10, hits20 = (sum(1 <= r <= k for r in self.ranks) for k in (10, 20))
        n = len(self.ranks)
        share = (lambda x: x / n) if n else (lambda x: None)
        return {
            "events": n, "hits10": hits10, "hits20": hits20, "hit@10": share(hits10), "hit@20": share(hits20),
            "mrr@20": share(sum(1 / r for r in self.ranks if r)),
        }  # fmt: skip


class Rewrites:
    def __init__(self):
        self.all = []  # (changed, gone, jaccard, rbo, net jaccard, net rbo); net None: not known

    def of(self):
        column = [[row[i] for row in self.all if row[i] is not None] for i in range(6)]
        return {
            "rewrites": len(self.all), "changed": sum(column[0]), "gone": sum(column[1]), "jaccard": mean(column[2]),
            "rbo": mean(column[3]), "net_jaccard": mean(column[4]), "net_rbo": mean(column[5]),
        }  # fmt: skip


class Figures:
    def __init__(self):
        self.first, self.held = 0, collections.Counter()
        self.rewrites = collections.defaultdict(Rewrites)
        self.answers, self.changes, self.probes = 0, [], collections.defaultdict(list)
        self.lists = []  # first places of each
        self.new_items = self.fallback = self.explored = 0
        self.counts = collections.defaultdict(Count)
        self.attribution = collections.Counter()

    # ---- what is told

    def event(self, event, rank, is_new, attribution):
        self.counts["all"].ranks.append(rank)
        self.counts[event["type"], "all"].ranks.append(rank)
        self.attribution[attribution] += 1
        if not is_new:
            return
        self.counts["new"].ranks.append(rank)
        self.counts[event["type"], "new"].ranks.append(rank)
        self.counts[max(v for v in VALUES if v <= event["value"])].ranks.append(rank)
        if event["value"] >= CHR_MIN:
            self.counts["chr"].ranks.append(rank)

    def rewrite(self, cause, row):
        self.rewrites[cause].all.append(row)
        self.rewrites["all"].all.append(row)

    def made(self, told, facts):
        self.lists.append(told["items"][:DEPTH])
        self.new_items += facts["new_items"]
        self.fallback += facts["fallback"]
        self.explored += told["explored"]
        for name, value in facts["probe"].items():
            if value is not None:
                self.probes[name].append(value)

    # ---- what the daemon should say

    def churn(self, causes, holds):
        by_cause = {cause: self.rewrites[cause].of() for cause in causes}
        held = {name: self.held[at + 1] for at, name in enumerate(holds)}
        return {"first": self.first, **self.rewrites["all"].of(), "held": held, "by_cause": by_cause}

    def response(self):
        changes = [sum(min(n, 16) == events for n in self.changes) for events in range(1, 17)]
        out = {name: self.mean_of(self.probes[name]) for name in ("gap_closed", "neighbour_lift", "drift")}
        if self.probes["gap_closed"]:  # each of two scores is exact to 1e-5, and what the mean makes of that
            slack = 1e-6 + 1e-5 * mean(self.probes["gap_slack"])
            out["gap_closed"]["mean"] = (out["gap_closed"]["mean"], slack)
        return out | {"events_to_change": self.mean_of(self.changes), "changes": changes}

    def quality(self, items):
        window = self.lists[-WINDOW:]
        tally = collections.Counter(item for places in window for item in places)
        top = max(tally.values(), default=0)
        places = sum(map(len, self.lists))
        return {
            "lists": len(self.lists),
            "places": places,
            "explored": self.explored,
            "new_item_share": self.new_items / places,
            "fallback_share": self.fallback / len(self.lists),
            "diversity": self.mean_of(self.probes["diversity"]),
            "novelty": self.mean_of(self.probes["novelty"]),
            "window": {
                "lists": len(window),
                "items": len(tally),
                "coverage": len(tally) / items,
                "top_item": {item for item, lists in tally.items() if lists == top},
                "top_share": top / len(window),
            },
        }

    def hits(self, shadow):
        of = lambda name: self.counts[name].of()  # noqa: E731
        out = {"all": of("all"), "new": of("new")}
        if shadow:
            out["beside"] = of("beside")
        out["by_type"] = {t: {"all": of((t, "all")), "new": of((t, "new"))} for t in WEIGHTS}
        out["chr"] = of("chr")
        out["rhr"] = [{"from": v, "count": of(v)} for v in VALUES if v in self.counts and self.counts[v].ranks]
        names = ("none", "hit", "stale", "mismatched", "foreign")
        return out | {"attribution": {name: self.attribution[name] for name in names}}

    @staticmethod
    def mean_of(values):
        return {"count": len(values), "mean": mean(values)}


class Shop:
    def __init__(self, epoch):
        self.epoch = epoch
        self.users = collections.defaultdict(User)
        self.popular, self.blocked, self.uses = [], set(), collections.Counter()
        self.generation, self.shift = None, None
        self.figures = collections.defaultdict(Figures)
        self.ghosts = {}  # user -> the shadow's last list

    def told(self, told):
        getattr(self, "on_" + told["kind"])(told)

    def on_block(self, told):
        self.blocked.add(told["item"])

    # ---- events

    def attribution(self, event, user):
        if not event["list"]:
            return "none"
        version = VERSION.fullmatch(event["list"])
        if not version or user.acked is None:
            return "foreign"
        epoch, partition, offset, swap = (int(part, 16) for part in version.groups())
        if (epoch, partition) != (self.epoch, event["partition"]) or (offset, swap) > user.acked:
            return "foreign"
        at = event["pos"] - 1
        if 0 <= at < len(user.list) and user.list[at] == event["item"]:
            return "hit"
        return "mismatched" if (offset, swap) == user.acked else "stale"

    def on_event(self, event):
        user = self.users[event["user"]]
        live = self.popular if user.acked is None else user.list
        rank, is_new = rank_in(live, event["item"]), not user.knows(event["item"])
        attribution = self.attribution(event, user)
        for name in ("", event["arm"]):
            self.figures[name].event(event, rank, is_new, attribution)
        if event["user"] in self.ghosts:
            self.figures["ghost"].event(event, rank_in(self.ghosts[event["user"]], event["item"]), is_new, "none")
            if is_new:
                self.figures["ghost"].counts["beside"].ranks.append(rank)
        trial = {"control": 100, "bold": 101}[event["arm"]]
        assert (event["trial"], event["rank"]) == ((trial, rank) if is_new else (0, 0)), event
        user.interactions.append(event)
        if event["type"] in COUNTS:
            self.uses[event["item"]] += 1

    # ---- lists

    def on_popular(self, told):
        if told["outcome"] != "unsent":
            self.popular = told["items"]

    def on_list(self, told):
        user = self.users[told["user"]]
        if told["arm"] == "ghost":
            self.ghost(told, user)
            return
        user.scored_at = user.acked[0] if user.acked else -1
        if told["outcome"] == "held":
            for name in ("", told["arm"]):
                self.figures[name].held[told["hold"]] += 1
        if told["outcome"] == "stored":
            self.stored(told, user)
        if told["outcome"] != "unsent":
            self.acknowledge(told, user)

    def stored(self, told, user):
        facts, row = self.facts(told, user), self.rewrite(told, user)
        changed = told["items"] != user.list
        for name in ("", told["arm"]):
            figures = self.figures[name]
            figures.answers += told["answers"]
            figures.made(told, facts)
            if row is None:
                figures.first += 1
            else:
                figures.rewrite(told["cause"], row)
            events = len(user.interactions) - user.changed_events
            if row is not None and changed and told["cause"] == "event" and events > 0:
                figures.changes.append(events)

    def rewrite(self, told, user):
        old, new = user.list, told["items"]
        if user.acked is None:
            return None
        allowed = [item for item in old if user.may_get(item, self.blocked)]
        k = min(DEPTH, len(allowed), len(new))
        if old == new:
            return (False, 0, 0, 0, 0, 0)
        return (
            True,
            len(old) - len(allowed),
            jaccard_distance(old, new, DEPTH),
            rbo_distance(old, new),
            jaccard_distance(allowed, new, k),
            rbo_distance(allowed, new),
        )

    def acknowledge(self, told, user):
        version = VERSION.fullmatch(told["version"])
        if told["outcome"] != "held":
            if told["items"] != user.list:
                user.changed_events = len(user.interactions)
            user.list = told["items"]
        user.acked = int(version[3], 16), int(version[4], 16)

    def ghost(self, told, user):
        figures, new, old = self.figures["ghost"], told["items"][:DEPTH], self.ghosts.get(told["user"])
        figures.made(told, self.facts(told, user))
        if old is None:
            figures.first += 1
        else:
            row = (new != old, 0, jaccard_distance(old, new, DEPTH), rbo_distance(old, new), None, None)
            figures.rewrite(told["cause"], row)
        self.ghosts[told["user"]] = new

    # ---- factors

    def facts(self, told, user):
        known = self.generation.row if self.generation else {}
        items = told["items"][:DEPTH]
        has_taste = any(one["item"] in known and WEIGHTS[one["type"]] for one in user.interactions)
        return {
            "new_items": sum(item not in known for item in items),
            "fallback": not has_taste,
            "probe": self.probe(told, user) if self.is_probed(told) else {},
        }

    @staticmethod
    def is_probed(told):
        _, _, offset, swap = (int(part, 16) for part in VERSION.fullmatch(told["version"]).groups())
        return xxhash.xxh3_64_intdigest(told["user"].encode(), seed=offset ^ swap << 48) % PROBE_ONE_IN == 0

    def probe(self, told, user):
        items, total = told["items"][:DEPTH], sum(self.uses.values())
        out = {"novelty": mean([-math.log2(self.uses[i] / total) for i in items if self.uses[i]])}
        if self.generation is None:
            return out
        out["diversity"] = self.generation.diversity(items)
        return out | (self.response(user) if told["cause"] == "event" else {})

    def response(self, user):
        generation, out = self.generation, {}
        fresh = [one for one in user.interactions if one["offset"] >= user.scored_at]
        before = generation.fold_in([one for one in user.interactions if one["offset"] < user.scored_at])
        after = generation.fold_in(user.interactions)
        if before is not None and after is not None:
            lengths = numpy.linalg.norm(before) * numpy.linalg.norm(after)
            out["drift"] = 1 - before @ after / lengths
        fresh = [one for one in fresh if WEIGHTS[one["type"]] > 0]
        newest = max(fresh, key=lambda one: (one["ts"], one["offset"]), default=None)
        if newest is None or newest["item"] not in generation.row:
            return out
        zero = numpy.zeros(len(generation.gram))
        lifts = generation.factors @ ((zero if after is None else after) - (zero if before is None else before))
        row = generation.row[newest["item"]]
        s = 0 if before is None else generation.factors[row] @ before
        if s < 1:
            out["gap_closed"] = lifts[row] / (1 - s)
            out["gap_slack"] = 1 / (1 - s) + abs(1 - s - lifts[row]) / (1 - s) ** 2
        n = len(generation.factors)
        among = {k * n // AMONG for k in range(AMONG)} if n > AMONG else set(range(n))
        cosines = generation.cosines(row)
        near = sorted(among - {row}, key=lambda other: -cosines[other])
        out["neighbour_lift"] = mean([lifts[other] for other in near[:NEIGHBOURS]])
        return out

    def on_generation(self, told):
        old, new, scores, ranks = self.generation, Generation(told), [], []
        for user in self.users.values() if old else []:
            x, x2 = old.fold_in(user.interactions), new.fold_in(user.interactions)
            items = [i for i in user.list[:DEPTH] if i in old.row and i in new.row]
            if x is None or x2 is None or not items:
                continue
            before = {i: old.factors[old.row[i]] @ x for i in items}
            after = {i: new.factors[new.row[i]] @ x2 for i in items}
            scores.append(mean([abs(before[i] - after[i]) for i in items]))
            ranks.append(rbo_distance(*(sorted(items, key=lambda i: -s[i]) for s in (before, after))))
        self.shift = {
            "from": old.number if old else 0, "to": new.number, "users": len(scores),
            "score_distance": mean(scores), "rank_distance": mean(ranks),
        }  # fmt: skip
        self.generation = new


def differences(found, expected, path=""):
    if isinstance(expected, dict):
        for key, value in expected.items():
            yield from differences(found.get(key, "missing"), value, f"{path}.{key}")
    elif isinstance(expected, list):
        if len(found) != len(expected):
            yield f"{path}: {found} is not {expected}"
        for at, (one, other) in enumerate(zip(found, expected)):
            yield from differences(one, other, f"{path}[{at}]")
    elif isinstance(expected, set):
        if found not in expected:
            yield f"{path}: {found} is not among {expected}"
    elif isinstance(expected, tuple):  # a number and how far off it may be
        if abs(found - expected[0]) > expected[1]:
            yield f"{path}: {found} is not {expected}"
    elif isinstance(expected, float) and isinstance(found, (int, float)):
        if not math.isclose(found, expected, rel_tol=2e-5, abs_tol=2e-6):
            yield f"{path}: {found} is not {expected}"
    elif found != expected:
        yield f"{path}: {found} is not {expected}"


class FiguresTest(unittest.TestCase):
    maxDiff = None

    def lived(self, seed):
        done = subprocess.run(
            [os.environ["REFERENCE_BIN"], str(seed), str(BATCHES)], capture_output=True, check=True, text=True
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        said = lines.pop()
        self.assertEqual(said["kind"], "figures")
        shop = Shop(said["epoch"])
        for told in lines:
            shop.told(told)
        return shop, said

    def assert_same(self, found, figures, items, shadow):
        causes, holds = found["churn"]["by_cause"], found["churn"]["held"]
        wrong = [*differences(found["churn"], figures.churn(causes, holds), "churn")]
        wrong += differences(found["response"], figures.response(), "response")
        wrong += differences(found["quality"], figures.quality(items), "quality")
        wrong += differences(found["hits"], figures.hits(shadow), "hits")
        for name in ("event_to_list_ms", "event_time_to_list_ms"):
            wrong += differences(found["response"][name]["count"], figures.answers, name)
        self.assertEqual(wrong, [])

    def test_every_figure_is_what_its_formula_says(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                shop, said = self.lived(seed)
                self.assert_same(said, shop.figures[""], said["items"], False)
                self.assertEqual([arm["name"] for arm in said["arms"]], ["control", "bold", "ghost"])
                for arm in said["arms"]:
                    with self.subTest(arm=arm["name"]):
                        self.assert_same(arm, shop.figures[arm["name"]], said["items"], arm["shadow"])
                        self.assertEqual([*differences(arm["shift"], shop.shift, "shift")], [])

    def test_the_shop_has_all_there_is_to_count(self):
        shop, said = self.lived(SEEDS[0])
        figures = shop.figures[""]
        self.assertGreater(len(figures.lists), WINDOW)
        self.assertGreater(min(len(figures.probes[name]) for name in ("gap_closed", "drift", "diversity")), 5)
        self.assertEqual(set(figures.attribution), {"none", "hit", "stale", "mismatched", "foreign"})
        self.assertGreater(min(row["rewrites"] for row in said["churn"]["by_cause"].values()), 0)
        self.assertGreater(said["churn"]["gone"], 0)
        self.assertGreater(min(said["churn"]["held"].values()), 0)
        self.assertGreater(shop.shift["users"], 0)
        self.assertGreater(shop.figures["ghost"].counts["beside"].of()["hits20"], 0)


if __name__ == "__main__":
    unittest.main()
