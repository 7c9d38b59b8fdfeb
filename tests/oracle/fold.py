"""The state that a stream of records makes."""

import bisect
import dataclasses
import math

from .events import DEAD, FORGET, IMPRESSION, INTERACTION, RETRACT

COUNTERS = (
    "applied", "duplicate", "late", "retracted", "retract_miss", "forgotten", "item_records", "dead",
    "impressions",
)
PAIRS_WINDOW = 10
PAIRS_FADE = 0.8


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
            event.ts, offset, event.item, event.type, event.value, event.id,
        )
        bisect.insort(self.interactions, entry)
        del self.interactions[: -rules.history_max]
        self.seen[event.item] = self.seen.pop(event.item, set()) | {event.type}
        while len(self.seen) > rules.seen_max:
            del self.seen[next(iter(self.seen))]
        self.remember(event, rules)
        self.shown.pop(event.item, None)
        self.events += 1
        self.last_ts = max(event.ts, event.ts if self.last_ts is None else self.last_ts)

    def remember(self, event, rules):
        if event.id:
            self.dedup = (self.dedup + [event.id])[-rules.dedup_window :]

    def show(self, event, rules):
        """An impression of the item."""
        count, ts = self.shown.pop(event.item, (0, event.ts))
        self.shown[event.item] = [count + 1, max(ts, event.ts)]
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
    items: dict  # item -> what its last record on the items topic says
    next_offset: dict  # partition -> offset
    stream_ts: dict  # partition -> ms
    counters: dict  # partition -> {counter: count}
    items_next_offset: dict
    items_counters: dict
    known: set  # items that something is said of, or that were used: on any partition, at any time


def _pair(state, at, user, rules):
    """The user's first use of an item goes with the latest distinct items used before.

    forward(j, i) += 0.8^d, and backward(i, j) += the same, j at distance d before i.
    """
    event = at.what
    if rules.neighbours_max == 0 or user.has_met(event.item):
        return
    used = [entry[2] for entry in user.interactions if rules.types[entry[3]].weight > 0]
    for distance, before in enumerate(latest_distinct(used, PAIRS_WINDOW)):
        weight = PAIRS_FADE**distance
        for item, other, direction in (
            (before, event.item, "forward"), (event.item, before, "backward"),
        ):
            table = state.pairs.setdefault((at.partition, item), Pairs())
            table.add(at.offset, other, direction, event.ts, weight)
            # Who is dropped from a full table is for the unit tests.
            assert len(table.neighbours) <= rules.neighbours_max, "more neighbours than are kept"


def _control(state, at):
    """What changes a user and is no event of his; returns the counter it belongs to."""
    event = at.what
    user = state.users.get(event.user)
    if event.kind == FORGET:
        state.users.pop(event.user, None)
        state.forgotten.add(event.user)
        return "forgotten"
    if user is None or not user.retract(event.ref):
        return "retract_miss"
    user.wanted_offset = at.offset + 1
    return "retracted"


def _show(state, at, rules):
    event = at.what
    user = state.users.get(event.user)
    if rules.impressions_max and user and event.item in state.known:
        user.show(event, rules)
        if rules.impressions_want_lists:
            user.wanted_offset = at.offset + 1
    return "impressions"


def _interact(state, at, rules):
    partition, event = at.partition, at.what
    counts = rules.types[event.type].weight > 0
    user = state.users.setdefault(event.user, User(partition))
    state.forgotten.discard(event.user)
    if counts:
        _pair(state, at, user, rules)
        state.sums.setdefault((partition, event.item), Sums()).times.append(event.ts)
    user.apply(at.offset, event, rules)
    user.wanted_offset = at.offset + 1
    state.stream_ts[partition] = max(event.ts, state.stream_ts.get(partition, event.ts))
    return "applied"


def _apply(state, at, rules):
    """One record; returns the counter it belongs to."""
    event = at.what
    if event.kind == DEAD:
        return "dead"
    if event.kind in (FORGET, RETRACT):
        return _control(state, at)
    stream_ts = state.stream_ts.get(at.partition)
    if rules.max_age_ms and stream_ts is not None and event.ts < stream_ts - rules.max_age_ms:
        return "late"
    user = state.users.get(event.user)
    remembers = event.kind == INTERACTION or rules.impressions_max > 0
    if remembers and user and event.id and event.id in user.dedup:
        return "duplicate"
    return _show(state, at, rules) if event.kind == IMPRESSION else _interact(state, at, rules)


def _describe(state, at):
    """One record of the items topic."""
    counters = state.items_counters.setdefault(at.partition, dict.fromkeys(COUNTERS, 0))
    state.items_next_offset[at.partition] = at.offset + 1
    if at.what.reason:
        counters["dead"] += 1
        return
    counters["item_records"] += 1
    state.items.pop(at.what.item, None)
    if at.what.said is not None:
        state.items[at.what.item] = at.what.said
        state.known.add(at.what.item)


def fold_placed(placed, rules, said=()):
    """The State of all records: `placed` of the events topic, `said` of the items topic."""
    state = State({}, set(), {}, {}, {}, {}, {}, {}, {}, {}, set())
    for at in sorted(said, key=lambda at: at[:2]):
        _describe(state, at)
    state.known.update(at.what.item for at in placed if at.what.kind == INTERACTION)
    for at in sorted(placed, key=lambda at: at[:2]):
        counters = state.counters.setdefault(at.partition, dict.fromkeys(COUNTERS, 0))
        counters[_apply(state, at, rules)] += 1
        state.next_offset[at.partition] = at.offset + 1
    return state
