"""How a dump differs from the fold."""

import numpy as np

from .rules import HALF_LIVES_MS, PAIRS_HALF_LIFE_MS

# Both sides add the same positive terms, each within a few ulps, so sums of 1e5 terms agree to
# about 1e5 * 1e-16; 1e-9 leaves room for the fold's products of as many decay factors.
SUM_TOLERANCE = 1e-9
# Below this a decayed count is nothing, and near the smallest doubles relative error means nothing.
SUM_FLOOR = 1e-250
# Co-occurrence is counted in float32: an event rounds a count at most four times, by 2^-24 each, in
# either direction; a count of n events is off by sqrt(n) such steps rather than n. 1e-5 are 40 of them.
PAIRS_TOLERANCE = 1e-5
PAIRS_FLOOR = 1e-37  # float32 has no digits below
DIRECTIONS = ("forward", "backward")


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
    return [f"user {name} {key}: {_apart(a, b)}" for key, a, b in pairs if a != b]


def _apart(want, have):
    """Of lists only what the one has and the other has not, if there is any."""
    if isinstance(want, list):
        missing = [entry for entry in want if entry not in have]
        extra = [entry for entry in have if entry not in want]
        if missing or extra:
            return f"missing {missing}, should not have {extra}"
    return f"want {want}, have {have}"


def _sums_differences(key, want, have):
    wrong = []
    if have["count"] != len(want.times) or have["ts"] != want.ts:
        wrong.append(f"sums {key}: want {len(want.times)} at {want.ts}, have {have}")
    for name, half_life_ms in HALF_LIVES_MS.items():
        exact, kept = want.decayed(half_life_ms, want.ts), have["decayed"][name]
        if abs(kept - exact) > SUM_TOLERANCE * exact + SUM_FLOOR:
            wrong.append(f"sums {key} {name}: want {exact!r}, have {kept!r}")
    return wrong


class _Counts:
    """Counts of co-occurrence to be compared, all at once: two rows a neighbour."""

    def __init__(self):
        self.names, self.latest, self.have = [], [], []  # one a neighbour
        self.events, self.lengths = [], []  # (ts, weight); how many of them a row has

    def add(self, name, counted, neighbour):
        """What was counted of one neighbour, and the dump's line of it."""
        self.names.append(name)
        self.latest.append(neighbour["ts"])
        for direction in DIRECTIONS:
            self.events += counted[direction]
            self.lengths.append(len(counted[direction]))
            self.have.append([neighbour[direction][horizon] for horizon in PAIRS_HALF_LIFE_MS])

    def differences(self):
        if not self.names:
            return []
        rows, have = len(self.lengths), np.array(self.have)
        row = np.repeat(np.arange(rows), self.lengths)
        ts, weight = np.array(self.events).T
        latest = np.full(len(self.names), -np.inf)
        np.maximum.at(latest, row // 2, ts)
        wrong = [
            f"pairs {self.names[i]}: want {latest[i]:.0f}, have {self.latest[i]}"
            for i in np.flatnonzero(latest != self.latest)
        ]
        age = np.repeat(latest, 2)[row] - ts
        for place, (horizon, half_life_ms) in enumerate(PAIRS_HALF_LIFE_MS.items()):
            # The sum over events e of weight 2^-((now - t_e) / h), as of the neighbour's latest.
            want = np.bincount(row, weight * np.exp2(-age / half_life_ms), rows)
            off = np.abs(have[:, place] - want) > PAIRS_TOLERANCE * want + PAIRS_FLOOR
            wrong += [
                f"pairs {self.names[i // 2]} {DIRECTIONS[i % 2]} {horizon}: want {want[i]!r}, "
                f"have {have[i, place]!r}"
                for i in np.flatnonzero(off)
            ]
        return wrong


def _pairs_differences(dump, state):
    wrong, counts = [], _Counts()
    for key in state.pairs.keys() & dump.pairs.keys():
        want, have = state.pairs[key], dump.pairs[key]
        items = [neighbour["item"] for neighbour in have["neighbours"]]
        if have["applied"] != want.applied or items != list(want.neighbours):
            wrong.append(
                f"pairs {key}: want {list(want.neighbours)} at {want.applied}, "
                f"have {items} at {have['applied']}"
            )
            continue
        for neighbour in have["neighbours"]:
            item = neighbour["item"]
            counts.add((*key, item), want.neighbours[item], neighbour)
    return wrong + counts.differences()


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


def trials_differences(dump):
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


def users_differences(dump, state):
    wrong = _keys_differences("user", state.users.keys(), dump.users.keys())
    wrong += [f"user {name}: nobody forgot him" for name in dump.tombstones.keys() - state.forgotten]
    for name in state.users.keys() & dump.users.keys():
        wrong += _user_differences(name, state.users[name], dump.users[name])
    return wrong


def figures_differences(dump, state):
    """Of item sums and co-occurrence."""
    wrong = _keys_differences("sums", state.sums.keys(), dump.sums.keys())
    for key in state.sums.keys() & dump.sums.keys():
        wrong += _sums_differences(key, state.sums[key], dump.sums[key])
    wrong += _keys_differences("pairs", state.pairs.keys(), dump.pairs.keys())
    return wrong + _pairs_differences(dump, state)


def items_differences(dump, state):
    wrong = _keys_differences("item", state.items.keys(), dump.items.keys())
    for item in state.items.keys() & dump.items.keys():
        wrong += _item_differences(item, state.items[item], dump.items[item])
    return wrong


def partitions_differences(dump, state, topic):
    wrong = []
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


def dump_differences(dump, state, topic):
    """Sentences on all that is not as the fold has it; [] if the dump is right."""
    return [
        *users_differences(dump, state),
        *figures_differences(dump, state),
        *trials_differences(dump),
        *items_differences(dump, state),
        *partitions_differences(dump, state, topic),
    ]
