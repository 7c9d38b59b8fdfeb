"""What freshet should hold and say, computed apart from it.

Two functions of the same input: `fold` makes the state of a stream of records, `Model.lists` the
lists of a state. Neither shares a line with the product; numbers are float64 and Python's exact
integers. The equations are those of the headers of model/, quoted where they are coded.
"""

import bisect
import dataclasses
import json
import math
import struct

import numpy as np

HALF_LIVES_MS = {
    "10m": 600_000,
    "1h": 3_600_000,
    "6h": 6 * 3_600_000,
    "1d": 24 * 3_600_000,
    "1w": 7 * 24 * 3_600_000,
    "30d": 30 * 24 * 3_600_000,
    "1y": 365 * 24 * 3_600_000,
}
COUNTERS = (
    "applied", "duplicate", "late", "retracted", "retract_miss", "forgotten", "item_records", "dead",
    "impressions",
)
CONTROL_TYPES = ("retract", "forget_user", "impression")

# Both sides add the same positive terms, each within a few ulps, so sums of 1e5 terms agree to
# about 1e5 * 1e-16; 1e-9 leaves room for the fold's products of as many decay factors.
SUM_TOLERANCE = 1e-9
# Below this a decayed count is nothing, and near the smallest doubles relative error means nothing.
SUM_FLOOR = 1e-250
# Co-occurrence is counted in float32: an event rounds a count at most four times, by 2^-24 each, in
# either direction; a count of n events is off by sqrt(n) such steps rather than n. 1e-5 are 40 of them.
PAIRS_TOLERANCE = 1e-5
PAIRS_FLOOR = 1e-37  # float32 has no digits below
PAIRS_WINDOW = 10
PAIRS_FADE = 0.8
PAIRS_HALF_LIFE_MS = {"1d": 24 * 3_600_000, "ever": math.inf}
TOGETHER_WINDOW = 10
TOGETHER_PRIOR = 10.0
# What orders users without factors where the score has no trend.
FALLBACK = 1e-6

# The product computes in float32 (24 bits) and publishes six digits.
SCORE_TOLERANCE = 1e-4
# Below float32's rounding of the terms of size 1 that cancelled in it, a score is nothing.
SCORE_FLOOR = 1e-7


@dataclasses.dataclass
class EventType:
    """An entry under `events:`."""

    weight: float = 1.0
    half_life_ms: int = 0
    cap: float = 1.0
    value: str = "none"
    hides: bool = True


@dataclasses.dataclass
class Rules:
    """The settings that states and lists depend on."""

    types: dict  # name -> EventType
    history_max: int
    seen_max: int
    dedup_window: int
    n: int
    neighbours_max: int = 0
    max_age_ms: int = 0
    update: str = "als"
    sgd_rate: float = 0.0
    first_half_life: str = "1w"
    exclude_categories: tuple = ()
    impressions_max: int = 0
    impressions_want_lists: bool = False  # if they are discounted


# ---------------------------------------------------------------- the fold of a stream


class User:
    """A user's share of the state, in the making."""

    def __init__(self, partition):
        self.partition = partition
        self.events = 0
        self.last_ts = None
        self.interactions = []  # [(ts, offset, item, type, value, id)], ascending
        self.seen = {}  # item -> set of types, least recently touched first
        self.dedup = []
        self.shown = {}  # item -> [impressions, the latest ts], least recently shown first
        self.wanted_offset = 0

    def apply(self, offset, event, rules):
        entry = (
            event["ts"], offset, event["item"], event["type"], event["value"], event.get("id"),
        )
        bisect.insort(self.interactions, entry)
        del self.interactions[: -rules.history_max]
        self.seen[event["item"]] = self.seen.pop(event["item"], set()) | {event["type"]}
        while len(self.seen) > rules.seen_max:
            del self.seen[next(iter(self.seen))]
        self.remember(event, rules)
        self.shown.pop(event["item"], None)
        self.events += 1
        self.last_ts = max(event["ts"], event["ts"] if self.last_ts is None else self.last_ts)

    def remember(self, event, rules):
        if event.get("id"):
            self.dedup = (self.dedup + [event["id"]])[-rules.dedup_window :]

    def show(self, event, rules):
        """An impression of the item."""
        count, ts = self.shown.pop(event["item"], (0, event["ts"]))
        self.shown[event["item"]] = [count + 1, max(ts, event["ts"])]
        while len(self.shown) > rules.impressions_max:
            del self.shown[next(iter(self.shown))]
        self.remember(event, rules)

    def retract(self, ref):
        """Takes back the interaction with that id; False if none is kept."""
        found = [entry for entry in self.interactions if entry[5] == ref]
        if not found:
            return False
        self.interactions.remove(found[-1])
        item, kind = found[-1][2:4]
        if item in self.seen and not any(
            entry[2:4] == (item, kind) for entry in self.interactions
        ):
            self.seen[item] = self.seen[item] - {kind}
            if not self.seen[item]:
                del self.seen[item]
        return True


    def has_met(self, item):
        return item in self.seen or any(entry[2] == item for entry in self.interactions)


class Pairs:
    """What went with one item in one partition: its neighbours' events, counted when asked."""

    def __init__(self):
        self.applied = None
        self.neighbours = {}  # item -> {"forward" | "backward": [(ts, weight)]}, in order of arrival

    def add(self, offset, item, direction, ts, weight):
        self.applied = offset
        events = self.neighbours.setdefault(item, {"forward": [], "backward": []})
        events[direction].append((ts, weight))


def count_of(events, half_life_ms, now):
    """The sum over events e of weight 2^-((now - t_e) / h)."""
    return math.fsum(weight * 2.0 ** -((now - ts) / half_life_ms) for ts, weight in events)


def latest_distinct(items, most):
    """The latest of `items` (oldest first), each once."""
    return list(dict.fromkeys(reversed(items)))[:most]


class Sums:
    """The event times of one item in one partition; decayed when asked."""

    def __init__(self):
        self.times = []

    @property
    def ts(self):
        return max(self.times)

    def decayed(self, half_life_ms, now):
        # S_h(t) = sum over events e of 2^-((t - t_e) / h)
        return math.fsum(2.0 ** -((now - ts) / half_life_ms) for ts in self.times)


@dataclasses.dataclass
class State:
    """What a prefix of the log makes."""

    users: dict  # id -> User
    forgotten: set  # ids forgotten and not seen since
    sums: dict  # (partition, item) -> Sums
    pairs: dict  # (partition, item) -> Pairs
    items: dict  # item -> its last record on the items topic
    next_offset: dict  # partition -> offset
    stream_ts: dict  # partition -> ms
    counters: dict  # partition -> {counter: count}
    items_next_offset: dict
    known: set  # items that something is said of, or that were used: on any partition, at any time


def decode(record):
    """A good record's event with its defaults filled in."""
    event = json.loads(record.value)
    for key in ("user", "item", "id", "ref"):
        if key in event:
            event[key] = str(event[key])
    event.setdefault("ts", record.timestamp)
    event.setdefault("value", 1.0)
    return event


def _pair(state, record, event, user, rules):
    """The user's first use of an item goes with the latest distinct items used before.

    forward(j, i) += 0.8^d, and backward(i, j) += the same, j at distance d before i.
    """
    if rules.neighbours_max == 0 or user.has_met(event["item"]):
        return
    used = [entry[2] for entry in user.interactions if rules.types[entry[3]].weight > 0]
    for distance, before in enumerate(latest_distinct(used, PAIRS_WINDOW)):
        weight = PAIRS_FADE**distance
        for item, other, direction in (
            (before, event["item"], "forward"), (event["item"], before, "backward"),
        ):
            table = state.pairs.setdefault((record.partition, item), Pairs())
            table.add(record.offset, other, direction, event["ts"], weight)
            # Who is dropped from a full table is for the unit tests.
            assert len(table.neighbours) <= rules.neighbours_max, "more neighbours than are kept"


def _apply(state, record, event, rules):
    """One good event; returns the counter it belongs to."""
    partition = record.partition
    user = state.users.get(event["user"])
    if event["type"] == "forget_user":
        state.users.pop(event["user"], None)
        state.forgotten.add(event["user"])
        return "forgotten"
    if event["type"] == "retract":
        found = user is not None and user.retract(event["ref"])
        if found:
            user.wanted_offset = record.offset + 1
        return "retracted" if found else "retract_miss"
    shown = event["type"] == "impression"
    stream_ts = state.stream_ts.get(partition)
    if rules.max_age_ms and stream_ts is not None and event["ts"] < stream_ts - rules.max_age_ms:
        return "late"
    if shown and rules.impressions_max == 0:
        return "impressions"
    if user and event.get("id") and event["id"] in user.dedup:
        return "duplicate"
    if shown:
        if user and event["item"] in state.known:
            user.show(event, rules)
            if rules.impressions_want_lists:
                user.wanted_offset = record.offset + 1
        return "impressions"
    user = state.users.setdefault(event["user"], User(partition))
    state.forgotten.discard(event["user"])
    if rules.types[event["type"]].weight > 0:
        _pair(state, record, event, user, rules)
    user.apply(record.offset, event, rules)
    user.wanted_offset = record.offset + 1
    if rules.types[event["type"]].weight > 0:
        state.sums.setdefault((partition, event["item"]), Sums()).times.append(event["ts"])
    state.stream_ts[partition] = max(event["ts"], stream_ts or event["ts"])
    return "applied"


def fold(records, rules, dead=frozenset(), item_records=(), dead_items=frozenset()):
    """The State of all records; `dead` has the (partition, offset) of those that are no events."""
    state = State({}, set(), {}, {}, {}, {}, {}, {}, {}, set())
    for record in item_records:
        state.items_next_offset[record.partition] = record.offset + 1
        if (record.partition, record.offset) in dead_items:
            continue
        state.items.pop(record.key.decode(), None)
        if record.value is not None:
            state.items[record.key.decode()] = json.loads(record.value)
            state.known.add(record.key.decode())
    for record in records:
        if (record.partition, record.offset) not in dead:
            event = decode(record)
            if event["type"] not in CONTROL_TYPES:
                state.known.add(event["item"])
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        counters = state.counters.setdefault(record.partition, dict.fromkeys(COUNTERS, 0))
        if (record.partition, record.offset) in dead:
            counters["dead"] += 1
        else:
            counters[_apply(state, record, decode(record), rules)] += 1
        state.next_offset[record.partition] = record.offset + 1
    return state


# ---------------------------------------------------------------- the dump, and comparing with it


@dataclasses.dataclass
class Dump:
    """The lines of `freshet dump --all`, by kind."""

    users: dict
    sums: dict  # (partition, item) -> line
    pairs: dict  # (partition, item) -> line
    items: dict  # those that something is said of
    partitions: dict  # (topic, partition) -> line
    state: dict
    trials: dict = dataclasses.field(default_factory=dict)  # (partition, name) -> line

    @property
    def now(self):
        """Stream time: the largest over partitions."""
        times = [line["stream_ts"] for line in self.partitions.values()]
        return max((ts for ts in times if ts is not None), default=0)


def read_dump(text):
    dump = Dump({}, {}, {}, {}, {}, {})
    for line in map(json.loads, text.splitlines()):
        if "user" in line:
            assert line["user"] not in dump.users, f"twice in the dump: {line['user']}"
            dump.users[line["user"]] = line
        elif "sums" in line:
            dump.sums[line["partition"], line["sums"]] = line
        elif "pairs" in line:
            dump.pairs[line["partition"], line["pairs"]] = line
        elif "trial" in line:
            dump.trials[line["partition"], line["trial"]] = line
        elif "topic" in line:
            dump.partitions[line["topic"], line["partition"]] = line
        elif "item" in line:
            dump.items[line["item"]] = line
        elif "state" in line:
            dump.state = line["state"]
        else:
            raise AssertionError(f"a line of no known kind in the dump: {line}")
    return dump


def _user_differences(name, want, have):
    interactions = [
        {"item": item, "type": kind, "value": value, "ts": ts, "offset": offset}
        for ts, offset, item, kind, value, _ in want.interactions
    ]
    pairs = [
        ("partition", want.partition, have["partition"]),
        ("events", want.events, have["events"]),
        ("last_ts", want.last_ts, have["last_ts"]),
        ("forgotten", False, bool(have["forgotten"])),
        ("interactions", interactions, have["interactions"]),
        (
            "seen",
            [(item, sorted(types)) for item, types in want.seen.items()],
            [(seen["item"], sorted(seen["types"])) for seen in have["seen"]],
        ),
        (
            "shown",
            [(item, *shown) for item, shown in want.shown.items()],
            [(shown["item"], shown["count"], shown["ts"]) for shown in have["shown"]],
        ),
        ("wanted.offset", want.wanted_offset, have["wanted"]["offset"]),
    ]
    return [f"user {name} {key}: want {a}, have {b}" for key, a, b in pairs if a != b]


def _sums_differences(key, want, have):
    wrong = []
    if have["count"] != len(want.times) or have["ts"] != want.ts:
        wrong.append(f"sums {key}: want {len(want.times)} at {want.ts}, have {have}")
    for name, half_life_ms in HALF_LIVES_MS.items():
        exact, kept = want.decayed(half_life_ms, want.ts), have["decayed"][name]
        if abs(kept - exact) > SUM_TOLERANCE * exact + SUM_FLOOR:
            wrong.append(f"sums {key} {name}: want {exact!r}, have {kept!r}")
    return wrong


def _pairs_differences(key, want, have):
    items = [neighbour["item"] for neighbour in have["neighbours"]]
    if have["applied"] != want.applied or items != list(want.neighbours):
        return [
            f"pairs {key}: want {list(want.neighbours)} at {want.applied}, "
            f"have {items} at {have['applied']}"
        ]
    wrong = []
    for neighbour in have["neighbours"]:
        events = want.neighbours[neighbour["item"]]
        ts = max(ts for direction in events.values() for ts, _ in direction)
        if neighbour["ts"] != ts:
            wrong.append(f"pairs {key} {neighbour['item']}: want {ts}, have {neighbour['ts']}")
        for direction, counted in events.items():
            for name, half_life_ms in PAIRS_HALF_LIFE_MS.items():
                exact, kept = count_of(counted, half_life_ms, ts), neighbour[direction][name]
                if abs(kept - exact) > PAIRS_TOLERANCE * exact + PAIRS_FLOOR:
                    wrong.append(
                        f"pairs {key} {neighbour['item']} {direction} {name}: "
                        f"want {exact!r}, have {kept!r}"
                    )
    return wrong


def _item_differences(item, want, have):
    said = {
        "blocked": want.get("blocked", False),
        "from": want.get("available_from"),
        "until": want.get("available_until"),
        "title": want.get("title", ""),
        "categories": want.get("categories", []),
    }
    return [
        f"item {item} {key}: want {value}, have {have[key]}"
        for key, value in said.items()
        if have[key] != value
    ]


def _trials_differences(dump):
    """Outcomes depend on which list was live when, which no log tells: a trial is compared with what
    its users say that they have in it. One who went on to another trial has left events behind."""
    wrong = []
    for (partition, name), sums in dump.trials.items():
        counts = [
            user["trial"]
            for user in dump.users.values()
            if user["partition"] == partition
            and user["trial"]
            and user["trial"]["id"] == name
            and user["trial"]["begun"] >= sums["begun"]
        ]
        for key in ("events", "hits10", "hits20"):
            if sum(count[key] for count in counts) > sums[key]:
                wrong.append(f"trial {name} of {partition} {key}: its users have more than {sums[key]}")
        if len(counts) != sums["users"]:
            continue
        n, h, r = (np.array([c[key] for c in counts]) for key in ("events", "hits20", "rr"))
        want = {
            "events": n.sum(), "hits20": h.sum(), "rr": r.sum(), "nn": n @ n, "nh": n @ h,
            "hh": h @ h, "nr": n @ r, "r2": r @ r,
        }
        for key, value in want.items():
            if abs(sums[key] - value) > SUM_TOLERANCE * max(value, 1):
                wrong.append(f"trial {name} of {partition} {key}: want {value}, have {sums[key]}")
    return wrong


def _keys_differences(what, want, have):
    wrong = [f"{what} {key}: not in the dump" for key in list(want - have)[:20]]
    return wrong + [f"{what} {key}: should not be in the dump" for key in list(have - want)[:20]]


def dump_differences(dump, state, topic):
    """Sentences on all that is not as the fold has it; [] if the dump is right."""
    wrong = _keys_differences("user", state.users.keys(), dump.users.keys())
    for name in state.users.keys() & dump.users.keys():
        wrong += _user_differences(name, state.users[name], dump.users[name])
    wrong += _keys_differences("sums", state.sums.keys(), dump.sums.keys())
    for key in state.sums.keys() & dump.sums.keys():
        wrong += _sums_differences(key, state.sums[key], dump.sums[key])
    wrong += _keys_differences("pairs", state.pairs.keys(), dump.pairs.keys())
    for key in state.pairs.keys() & dump.pairs.keys():
        wrong += _pairs_differences(key, state.pairs[key], dump.pairs[key])
    wrong += _trials_differences(dump)
    wrong += _keys_differences("item", state.items.keys(), dump.items.keys())
    for item in state.items.keys() & dump.items.keys():
        wrong += _item_differences(item, state.items[item], dump.items[item])
    for partition, next_offset in state.next_offset.items():
        have = dump.partitions.get((topic, partition))
        want = {
            "next_offset": next_offset,
            "stream_ts": state.stream_ts.get(partition),
            "counters": state.counters[partition],
        }
        for key, value in want.items():
            if have is None or have[key] != value:
                wrong.append(f"partition {partition} {key}: want {value}, have {have}")
    return wrong


# ---------------------------------------------------------------- the generation file


@dataclasses.dataclass
class Generation:
    """One generation file (model/generation.h)."""

    manifest: dict
    ids: list
    factors: np.ndarray  # [items, rank], float64


def read_generation(path):
    data = path.read_bytes()
    assert data[:8] == b"FRESHGEN", "magic"
    version, order = struct.unpack_from("<II", data, 8)
    assert (version, order) == (1, 0x01020304), "version and byte order"
    size, items, rank, stride, manifest_at, manifest_bytes, ids_at, factors_at = struct.unpack_from(
        "<QQIIQQQQ", data, 24
    )
    assert size == len(data), "length"
    assert factors_at % 64 == 0, "factors on a 64-byte boundary"
    begin = np.frombuffer(data, "<u4", items + 1, ids_at).astype(int) + ids_at + 4 * (items + 1)
    ids = [data[begin[i] : begin[i + 1]].decode() for i in range(items)]
    encoded = [item.encode() for item in ids]
    assert all(a < b for a, b in zip(encoded, encoded[1:])), "ids in strict byte order"
    padded = np.frombuffer(data, "<f4", items * stride, factors_at).reshape(items, stride)
    assert np.isfinite(padded).all() and not padded[:, rank:].any(), "finite, zero beyond rank"
    manifest = json.loads(data[manifest_at : manifest_at + manifest_bytes])
    return Generation(manifest, ids, padded[:, :rank].astype(np.float64))


# ---------------------------------------------------------------- lists


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
        self.dump, self.rules = dump, rules
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
            age = self.dump.now - line["ts"]
            decay = 2.0 ** -(age / HALF_LIVES_MS[half_life])
            total[self.column[item]] += line["decayed"][half_life] * decay
        return np.log1p(total)

    def _decayed(self, count, ts, horizon):
        """A count as of ts, now."""
        age = max(self.dump.now - ts, 0)
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
            fade = self.weights["together_rho"] ** distance
            own = self.uses[self.column[item]] + TOGETHER_PRIOR
            for other, n in self._pairs_of(item):
                norm = math.sqrt((self.uses[self.column[other]] + TOGETHER_PRIOR) * own)
                C[self.column[other]] += fade * n / norm
        return C

    def _is_eligible(self, item):
        line = self.dump.items.get(item)
        if line is None:
            return True
        return not (
            line["blocked"]
            or (line["from"] is not None and self.dump.now < line["from"])
            or (line["until"] is not None and self.dump.now >= line["until"])
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
            self.dump.now,
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
        return np.zeros(1) if user is None else self.weights["taste"] * self.user_factors(user)

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


def live_generation(dump, state_dir, key=0):
    """The generation of a series that the dump says is live, or None."""
    named = f"{key:016x}"
    numbers = [series["generation"] for series in dump.state["series"] if series["key"] == named]
    if not numbers or not numbers[0]:
        return None
    folder = state_dir / "generations"
    generation = read_generation((folder / named if key else folder) / f"{numbers[0]:08d}.gen")
    assert generation.manifest["number"] == numbers[0]
    return generation
