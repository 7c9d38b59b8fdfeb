"""The list of every user, recomputed from a dump, a generation and the rules.

Numbers are float64. The equations are those of the headers of model/, quoted where they are coded.
"""

import math

import numpy as np

from .fold import latest_distinct
from .rules import HALF_LIVES_MS, PAIRS_HALF_LIFE_MS

TOGETHER_WINDOW = 10
TOGETHER_PRIOR = 10.0
# What orders users without factors where the score has no trend.
FALLBACK = 1e-6

# The product computes in float32 (24 bits) and publishes six digits.
SCORE_TOLERANCE = 1e-4
# Below float32's rounding of the terms of size 1 that cancelled in it, a score is nothing.
SCORE_FLOOR = 1e-7


def confidences(interactions, types, alpha, rho, now):
    """{item: c_ui}, newest item last, from dump lines of interactions, oldest first.

    c_ui = alpha * sum over types of sign(weight) min(cap, sum of |weight| * value' * decay)
    """
    used = [e for e in interactions if e["type"] in types and types[e["type"]].weight != 0]
    times = sorted({entry["ts"] for entry in used}, reverse=True)
    position = {ts: index for index, ts in enumerate(times)}
    gathered = {}
    for entry in used:
        kind = types[entry["type"]]
        meant = {"none": 1.0, "linear": entry["value"], "log": math.log1p(entry["value"])}
        decay = rho ** position[entry["ts"]]
        if kind.half_life_ms:
            decay *= 2.0 ** -((now - entry["ts"]) / kind.half_life_ms)
        by_type = gathered.setdefault(entry["item"], {})
        share = abs(kind.weight) * meant[kind.value] * decay
        by_type[entry["type"]] = by_type.get(entry["type"], 0.0) + share
    return {
        item: alpha
        * sum(
            math.copysign(min(types[name].cap, total), types[name].weight)
            for name, total in by_type.items()
        )
        for item, by_type in gathered.items()
    }


def pair_of(confidence, objective, w0):
    """(p, q) of the normal equations; a dislike pulls towards 0."""
    if confidence < 0:
        return -confidence, 0.0
    return {
        "ials": (confidence, confidence),
        "hu": (confidence, 1.0 + confidence),
        "implicit": (max(confidence - 1.0, -w0), confidence),
    }[objective]


class Model:
    """A dump, its generation (None before the first) and the rules: makes every user's list."""

    def __init__(self, dump, generation, rules):
        self.dump, self.rules, self.now = dump, rules, dump.now
        self.latest_taste = (None, None)  # a user and what taste() says of him
        self.items = sorted(self._known_items(generation), key=lambda item: item.encode())
        self.column = {item: column for column, item in enumerate(self.items)}
        if generation:
            self.hyper, weights = generation.manifest, generation.manifest["weights"]
        else:
            self.hyper = None
            weights = {
                "taste": 0.0, "trend": 1.0, "trend_half_life": rules.first_half_life, "rho": 1.0,
            }
        self.weights = weights
        self.factors = self._factors_by_column(generation)
        self.trend = self._trend()
        self.pairs_by_item = {}
        for (_, item), line in dump.pairs.items():
            self.pairs_by_item.setdefault(item, []).append(line)
        self.with_item = {}  # item -> what goes together with it
        if self.weights.get("together", 0.0) > 0:
            self.uses = self._uses()
        self.eligible = np.array([self._is_eligible(item) for item in self.items], dtype=bool)

    def _known_items(self, generation):
        known = set(self.dump.items) | {item for _, item in self.dump.sums}
        for user in self.dump.users.values():
            known |= {entry["item"] for entry in user["interactions"] + user["seen"]}
        return known | set(generation.ids if generation else ())

    def _factors_by_column(self, generation):
        """Y: [items, rank], zero for items newer than the generation; which have a row."""
        if not generation:
            self.has_row, self.gram = set(), None
            return np.zeros((len(self.items), 1))
        Y = np.zeros((len(self.items), generation.factors.shape[1]))
        for item, row in zip(generation.ids, generation.factors):
            Y[self.column[item]] = row
        self.has_row = set(generation.ids)
        self.gram = generation.factors.T @ generation.factors
        return Y

    def _trend(self):
        """T_i = log(1 + S_i(now)), S_i summed over partitions."""
        half_life = self.weights["trend_half_life"]
        total = np.zeros(len(self.items))
        for (_, item), line in sorted(self.dump.sums.items()):
            age = self.now - line["ts"]
            decay = 2.0 ** -(age / HALF_LIVES_MS[half_life])
            total[self.column[item]] += line["decayed"][half_life] * decay
        return np.log1p(total)

    def _decayed(self, count, ts, horizon):
        """A count as of ts, now."""
        age = max(self.now - ts, 0)
        return count * 2.0 ** -(age / PAIRS_HALF_LIFE_MS[horizon])

    def _uses(self):
        """n_i: the item's events at the horizon of co-occurrence, summed over partitions."""
        horizon, uses = self.weights["together_horizon"], np.zeros(len(self.items))
        for (_, item), line in self.dump.sums.items():
            count = line["count"] if horizon == "ever" else line["decayed"][horizon]
            uses[self.column[item]] += self._decayed(count, line["ts"], horizon)
        return uses

    def _pairs_of(self, item):
        """[(i, n_(item, i))] over all partitions, now."""
        horizon = self.weights["together_horizon"]
        directions = {"forward": ["forward"], "both": ["forward", "backward"]}[
            self.weights["together_direction"]
        ]
        return [
            (neighbour["item"], self._decayed(neighbour[direction][horizon], neighbour["ts"], horizon))
            for line in self.pairs_by_item.get(item, ())
            for neighbour in line["neighbours"]
            for direction in directions
        ]

    def together(self, user):
        """C_ui = sum over d of rho^d n_(j_d, i) / sqrt((n_i + S)(n_(j_d) + S)), by column."""
        C = np.zeros(len(self.items))
        if user is None or self.weights.get("together", 0.0) == 0:
            return C
        used = [e["item"] for e in user["interactions"] if self.rules.types[e["type"]].weight > 0]
        for distance, item in enumerate(latest_distinct(used, TOGETHER_WINDOW)):
            C += self.weights["together_rho"] ** distance * self._together_with(item)
        return C

    def _together_with(self, item):
        """n_(item, i) / sqrt((n_i + S)(n_item + S)), by column."""
        if item not in self.with_item:
            column, found = np.zeros(len(self.items)), self._pairs_of(item)
            np.add.at(column, [self.column[other] for other, _ in found], [n for _, n in found])
            own = self.uses[self.column[item]] + TOGETHER_PRIOR
            self.with_item[item] = column / np.sqrt((self.uses + TOGETHER_PRIOR) * own)
        return self.with_item[item]

    def _is_eligible(self, item):
        line = self.dump.items.get(item)
        if line is None:
            return True
        return not (
            line["blocked"]
            or (line["from"] is not None and self.now < line["from"])
            or (line["until"] is not None and self.now >= line["until"])
            or set(line["categories"]) & set(self.rules.exclude_categories)
        )

    def user_factors(self, user):
        """x_u, by the update of the settings."""
        if self.hyper is None:
            return np.zeros(1)
        return self._steps(user) if self.rules.update == "sgd" else self._fold_in(user)

    def _lambda(self, count):
        scaled = self.hyper["lambda_scaling"] == "count"
        return self.hyper["lambda"] * (count if scaled else 1)

    def _steps(self, user):
        """x_u by gradient steps over the history, oldest first, in the eigenbasis of G.

        x <- x / (1 + rate / t (w0 g + lambda));  x <- x + rate (q - p x.y) / (1 + rate p |y|^2) y
        """
        g, V = np.linalg.eigh(self.gram)
        objective, w0, rate = self.hyper["objective"], self.hyper["w0"], self.rules.sgd_rate
        x, t = np.zeros(len(g)), 0
        for entry in user["interactions"]:
            # At its own time and the first position: neither decay nor rho.
            c = confidences(
                [entry], self.rules.types, self.hyper["alpha"], 1.0, entry["ts"]
            ).get(entry["item"], 0.0)
            if c == 0.0 or entry["item"] not in self.has_row:
                continue
            t += 1
            p, q = pair_of(c, objective, w0)
            y = self.factors[self.column[entry["item"]]] @ V
            x = x / (1 + rate / t * (w0 * g + self._lambda(t)))
            x = x + rate * (q - p * (x @ y)) / (1 + rate * max(p, 0.0) * (y @ y)) * y
        return V @ x

    def _fold_in(self, user):
        """x_u exactly: (w0 G + lambda I + sum p y y') x = sum q y."""
        gathered = confidences(
            user["interactions"], self.rules.types, self.hyper["alpha"], self.weights["rho"],
            self.now,
        )
        known = {i: c for i, c in gathered.items() if i in self.has_row and c != 0.0}
        rank = self.factors.shape[1]
        if not known:
            return np.zeros(rank)
        objective, w0 = self.hyper["objective"], self.hyper["w0"]
        p, q = np.array([pair_of(c, objective, w0) for c in known.values()]).T
        Y = self.factors[[self.column[item] for item in known]]
        A = w0 * self.gram + self._lambda(len(known)) * np.eye(rank)
        return np.linalg.solve(A + (Y.T * p) @ Y, Y.T @ q)

    def hidden(self, user):
        """Items met by a type that hides, as far as they are remembered in either way."""
        hiding = {name for name, kind in self.rules.types.items() if kind.hides}
        seen = {seen["item"] for seen in user["seen"] if hiding & set(seen["types"])}
        return seen | {e["item"] for e in user["interactions"] if e["type"] in hiding}

    def taste(self, user):
        """a x_u"""
        if user is None:
            return np.zeros(1)
        if self.latest_taste[0] is not user:
            self.latest_taste = (user, self.weights["taste"] * self.user_factors(user))
        return self.latest_taste[1]

    def scores(self, user):
        """score = a x_u.y_i + b T_i + c C_ui by column; -inf where the user may not have the item.

        Without factors a little trend orders the rest even where the score has none (b = 0).
        """
        taste, b = self.taste(user), self.weights["trend"]
        if taste.any():
            scores = self.factors @ taste + b * self.trend
        else:
            scores = (b if b != 0 else FALLBACK) * self.trend
        scores = scores + self.weights.get("together", 0.0) * self.together(user)
        scores[~self.eligible] = -np.inf
        if user is not None:
            scores[[self.column[item] for item in self.hidden(user)]] = -np.inf
        return scores

    def top(self, scores):
        """The columns of the list: best first, ties by item id in byte order."""
        best = np.argsort(-scores, kind="stable")[: self.rules.n]
        return best[np.isfinite(scores[best])]

    def version(self, partition, topic):
        """epoch.partition.next_offset.swap of a list scored now."""
        next_offset = self.dump.partitions[topic, partition]["next_offset"]
        epoch, swap = self.dump.state["epoch"], self.dump.state["swap"]
        return f"{epoch:08x}.{partition:04x}.{next_offset:016x}.{swap:08x}"

    def list_differences(self, name, user, published):
        """Sentences on how a published list is not the one it should be."""
        scores = self.scores(user)
        floor = SCORE_FLOOR if self.taste(user).any() else 0.0  # the other terms do not cancel
        want = self.top(scores)
        have = [item for item, _ in published]
        if len(have) != len(want):
            return [f"list of {name}: {len(have)} items, want {len(want)}"]
        if len(set(have)) != len(have):
            return [f"list of {name}: an item twice"]
        wrong = []
        for place, (column, (item, score)) in enumerate(zip(want, published)):
            mine = scores[self.column[item]] if item in self.column else -np.inf
            if not np.isfinite(mine):
                wrong.append(f"list of {name} place {place}: {item} may not be there")
            elif not close(score, mine, floor):
                wrong.append(f"list of {name} place {place}: {item} scored {score}, want {mine}")
            elif not close(mine, scores[column], floor):
                wrong.append(
                    f"list of {name} place {place}: {item} ({mine}), "
                    f"want {self.items[column]} ({scores[column]})"
                )
        return wrong


def close(a, b, floor=SCORE_FLOOR):
    return abs(a - b) <= SCORE_TOLERANCE * max(abs(a), abs(b)) + floor
