"""A stream of records whose meaning is known, because whoever writes them down keeps a ledger.

Nothing here reads a record: first it is decided what the next one is, then how it is written, and
both are remembered. Where it came to lie in the log is learnt later, by its very bytes, which no
other record has (but for one that is sent a second time, and that means the same).
"""

import bisect
import collections
import dataclasses
import itertools
import random
from typing import NamedTuple, Optional

from . import bad as bad_records
from .events import DEAD, FORGET, IMPRESSION, INTERACTION, RETRACT, Event, Said
from .writing import write

DAY_MS = 86_400_000


class Produced(NamedTuple):
    """A record to be sent, with this timestamp."""

    topic: str
    key: Optional[bytes]
    value: Optional[bytes]
    timestamp_ms: int
    headers: tuple = ()


@dataclasses.dataclass
class Entry:
    """A line of the ledger: what the records of these bytes are."""

    what: object  # Event or Said
    key: Optional[bytes]
    value: Optional[bytes]
    numbers: list  # one for each time it was handed out, ascending over the whole ledger
    timestamps: list  # with it


@dataclasses.dataclass
class Limits:
    """Of the settings, what decides what an event is. Those of the end-to-end tests."""

    types: tuple = ("played", "wishlist")
    max_age_ms: int = 3000 * DAY_MS  # 0: nothing is late
    max_ahead_ms: int = 300_000
    dedup_window: int = 64
    history_max: int = 120
    impressions_max: int = 2


# What the next record is, of a thousand.
MIX = {
    "interaction": 780, "duplicate": 40, "resent": 10, "late": 20, "bad": 30, "retract": 25,
    "retract_miss": 8, "impression": 50, "impression_of_nothing": 5, "forget": 5,
    "forget_for_good": 2, "forget_nobody": 1, "describe": 20, "bad_item": 4,
}
DISORDER_MS = 2 * 3_600_000
TICK_MS = 60_000  # at most, from one record's timestamp to the next
BEGIN_MS = 1_700_000_000_000
RECENT = 8  # of a user's ids: few enough to be remembered whatever else comes
LATELY = 400  # users who did something
ODD_USERS = ("popular", "meta", "changes", "user:u1", "1001", "-7", "u u", "ü日本", '"q"\\', "x" * 128)
ODD_ITEMS = ("4711", "0", "ítem 日本", '"\\/', "y" * 128)
CATEGORIES = ("puzzle", "horror", "né", "0")


class Person:
    """What the ledger knows of a user's standing, to know what comes of the next event."""

    def __init__(self, name):
        self.name = name
        self.gone = False  # forgotten for good
        self.latest_ts = None
        self.begin_anew()

    def begin_anew(self):
        self.ids = collections.deque(maxlen=RECENT)  # remembered for duplicates
        self.retractable = collections.deque(maxlen=RECENT)
        self.last_sent = None  # the latest record that may be sent again
        self.used = collections.deque(maxlen=RECENT)


class Ledger:
    """next() hands out records; the rest of the object is what they are."""

    def __init__(
        self, seed, topic, partitions, *, users=5000, items=1000, item_topic=None,
        bad=bad_records.BAD, limits=None, clock=None, mix=None,
    ):
        """clock: a function that says each record's timestamp in ms; the ledger's own if None."""
        self.seed, self.topic, self.partitions, self.item_topic = seed, topic, partitions, item_topic
        self.limits = limits or Limits()
        self.draw = random.Random(seed)
        self.clock, self.stamp = clock, BEGIN_MS
        names = [*ODD_USERS, *(f"u{number}" for number in range(users))][:users]
        self.people = [Person(name) for name in names]
        self.items = [*ODD_ITEMS, *(f"i{number}" for number in range(items))][:items]
        for pool in (self.people, self.items):
            self.draw.shuffle(pool)  # so that odd ones are as popular as others
        self.lately = collections.deque(maxlen=LATELY)
        self.bad = itertools.cycle(bad.items()) if bad else None
        self.bad_items = itertools.cycle(bad_records.BAD_ITEMS.items())
        shares = {**MIX, **(mix or {})}
        # Late ones too: in a log that is cut, or thinned, they need not be late any more.
        self.late_kinds = (INTERACTION, INTERACTION, IMPRESSION) if shares["impression"] else (INTERACTION,)
        self.mix = self._mix(shares)
        self.number = 0  # records handed out
        self.entries = {}  # (topic, key, value) -> Entry
        self.intended = collections.Counter()  # what comes of them, if each arrives once and in order
        self.intended_items = collections.Counter()
        self.places = {}  # (topic, partition, offset) -> Entry, as far as it was looked up

    @classmethod
    def of(cls, freshet, seed, partitions, **options):
        """A ledger for a harness.Freshet: its topics, its settings."""
        rules, events = freshet.rules(), freshet.settings["events"]
        limits = Limits(
            types=tuple(rules.types), max_age_ms=rules.max_age_ms, dedup_window=rules.dedup_window,
            history_max=rules.history_max, impressions_max=rules.impressions_max,
        )
        assert "max_ahead" not in events, "give the limits yourself"
        options.setdefault("item_topic", freshet.items_topic)
        return cls(seed, freshet.topic, partitions, limits=limits, **options)

    def _mix(self, shares):
        if self.bad is None:
            shares["bad"] = shares["bad_item"] = 0
        if self.item_topic is None:
            shares["describe"] = shares["bad_item"] = 0
        if self.limits.max_age_ms == 0:
            shares["late"] = 0
        if self.limits.dedup_window < RECENT:
            shares["duplicate"] = shares["resent"] = 0
        return list(shares), list(itertools.accumulate(shares.values()))

    # ---- handing out

    def next(self, count):
        """The next `count` records, to be sent in this order."""
        return [self._one() for _ in range(count)]

    def one_of_each_bad(self, kinds, items=bad_records.BAD_ITEMS):
        """A record of each of these kinds."""
        records = [self._bad_record(*kind) for kind in kinds.items()]
        if self.item_topic is not None:
            records += [self._bad_item_record(*kind) for kind in items.items()]
        return records

    def _one(self):
        names, edges = self.mix
        self.stamp = self.clock() if self.clock else self.stamp + self.draw.randrange(TICK_MS)
        name = names[bisect.bisect(edges, self.draw.randrange(edges[-1]))]
        return getattr(self, "_make_" + name)() or self._make_interaction()

    def _hand_out(self, topic, key, value, what, timestamp_ms=None):
        self.number += 1
        record = Produced(topic, key, value, self.stamp if timestamp_ms is None else timestamp_ms)
        entry = self.entries.setdefault((topic, key, value), Entry(what, key, value, [], []))
        assert entry.what == what, "the same bytes mean the same"
        entry.numbers.append(self.number)
        entry.timestamps.append(record.timestamp_ms)
        return record

    def _event(self, counter, event, **extra):
        """Hands out a good record of the events topic; `counter` is what it adds to."""
        self.intended[counter] += 1
        key, value = write(self.draw, self.number, event, event.ts != self.stamp, **extra)
        return self._hand_out(self.topic, key, value, event)

    # ---- whom and what

    def _somebody(self):
        person = self.people[int(len(self.people) * self.draw.random() ** 2)]
        while person.gone:
            person = self.draw.choice(self.people)
        return person

    def _somebody_known(self, has):
        """A user who did something lately, of whom `has` is true; None if none is found soon."""
        for _ in range(10):
            person = self.draw.choice(self.lately) if self.lately else None
            if person and not person.gone and has(person):
                return person
        return None

    def _item(self):
        return self.items[int(len(self.items) * self.draw.random() ** 2.5)]

    def _new_id(self):
        return self.draw.choice([f"e{self.number}", f"{self.number}", f"é {self.number}"])

    def _event_time(self):
        """Mostly now, else in disorder, or as far ahead as may be."""
        luck = self.draw.random()
        if luck < 0.1:
            return self.stamp - self.draw.randrange(DISORDER_MS)
        return self.stamp + self.limits.max_ahead_ms if luck < 0.11 else self.stamp

    def _value(self):
        return self.draw.choice((1.0, 1.0, 1.0, 2.5, 0.1, 0.0, 7.0, 1e6))

    # ---- events that are applied

    def _make_interaction(self):
        person, ts = self._somebody(), self._event_time()
        name = self._new_id() if self.draw.random() < 0.6 else None
        kind = self.limits.types[int(len(self.limits.types) * self.draw.random() ** 2)]
        event = Event(
            INTERACTION, person.name, self._item(), kind, self._value(), ts, name,
        )
        record = self._event("applied", event)
        person.latest_ts = max(ts, person.latest_ts or ts)
        person.used.append(event.item)
        self.lately.append(person)
        if name:
            person.ids.append(name)
            person.last_sent = (name, record)
            if ts == self.stamp:  # it will be among the newest for a while
                person.retractable.append(name)
        return record

    # ---- events that are not

    def _make_duplicate(self):
        """Another event of an id that was there."""
        person = self._somebody_known(lambda person: person.ids)
        if person is None:
            return None
        event = Event(
            INTERACTION, person.name, self._item(), self.limits.types[0], self._value(), self.stamp,
            self.draw.choice(person.ids),
        )
        return self._event("duplicate", event)

    def _make_resent(self):
        """The very same record again."""
        person = self._somebody_known(lambda p: p.last_sent and p.last_sent[0] in p.ids)
        if person is None:
            return None
        self.intended["duplicate"] += 1
        _, record = person.last_sent
        return self._hand_out(*record[:3], self.entries[record[:3]].what, record.timestamp_ms)

    def _make_late(self):
        """Older than the user's latest, and so the partition's, by a millisecond more than allowed."""
        person = self._somebody_known(lambda person: person.latest_ts is not None)
        if person is None or person.latest_ts < self.limits.max_age_ms + 1:
            return None
        kind = self.draw.choice(self.late_kinds)
        event = Event(
            kind, person.name, self._item(), self.limits.types[0] if kind == INTERACTION else kind,
            ts=person.latest_ts - self.limits.max_age_ms - 1, id=self._new_id(),
        )
        return self._event("late", event)

    def _make_bad(self):
        return self._bad_record(*next(self.bad))

    def _bad_record(self, _, bad):
        user = f"u{self.draw.randrange(1000)}".encode()
        places = {
            "N": b"%d" % self.number, "U": user, "T": self.limits.types[0].encode(),
            "A": b"%d" % (self.stamp + self.limits.max_ahead_ms + 1),
        }
        key, value = (bad_records.filled(text, **places) for text in (bad.key, bad.value))
        self.intended["dead"] += 1
        return self._hand_out(self.topic, key, value, Event(DEAD, reason=bad.reason))

    def _make_retract(self):
        """Takes back one of the user's newest."""
        person = self._somebody_known(lambda person: person.retractable)
        if person is None:
            return None
        ref = person.retractable.pop()
        return self._event("retracted", Event(RETRACT, person.name, type=RETRACT, ref=ref))

    def _make_retract_miss(self):
        event = Event(RETRACT, self._somebody().name, type=RETRACT, ref=f"nothing {self.number}")
        return self._event("retract_miss", event)

    def _make_impression(self):
        """Of an item that the user has used, so that it is known whatever else was learned."""
        person = self._somebody_known(lambda person: person.used)
        if person is None:
            return None
        name = self._new_id() if self.draw.random() < 0.3 else None
        event = Event(
            IMPRESSION, person.name, self.draw.choice(person.used), IMPRESSION, 1.0,
            self._event_time(), name,
        )
        if name and self.limits.impressions_max:
            person.ids.append(name)
        return self._event("impressions", event, list="shown", pos=self.draw.randrange(20))

    def _make_impression_of_nothing(self):
        event = Event(
            IMPRESSION, self._somebody().name, f"never used {self.number}", IMPRESSION, ts=self.stamp
        )
        return self._event("impressions", event)

    # ---- users who are forgotten

    def _forget(self, for_good):
        person = self._somebody_known(lambda person: person.latest_ts is not None)
        if person is None:
            return None
        person.gone = for_good and sum(p.gone for p in self.people) < len(self.people) // 4
        person.begin_anew()
        return self._event("forgotten", Event(FORGET, person.name, type=FORGET))

    def _make_forget(self):
        """Who may come back."""
        return self._forget(False)

    def _make_forget_for_good(self):
        return self._forget(True)

    def _make_forget_nobody(self):
        return self._event("forgotten", Event(FORGET, f"nobody {self.number}", type=FORGET))

    # ---- items

    def _make_describe(self):
        self.intended_items["item_records"] += 1
        item = self._item() if self.draw.random() < 0.9 else f"new {self.number}"
        if self.draw.random() < 0.15:
            return self._hand_out(self.item_topic, item.encode(), None, Said(item))
        said = {
            "blocked": self.draw.random() < 0.1,
            "title": f"Title {self.number} é",
            "categories": self.draw.sample(CATEGORIES, self.draw.randrange(3)),
        }
        if self.draw.random() < 0.3:
            said["available_from"] = self.stamp + self.draw.randrange(-DAY_MS, DAY_MS)
        if self.draw.random() < 0.3:
            said["available_until"] = self.stamp + self.draw.randrange(-DAY_MS, 30 * DAY_MS)
        key, value = write(self.draw, self.number, Said(item, said))
        return self._hand_out(self.item_topic, key, value, Said(item, said))

    def _make_bad_item(self):
        return self._bad_item_record(*next(self.bad_items))

    def _bad_item_record(self, _, bad):
        number = b"%d" % self.number
        key, value = (bad_records.filled(text, N=number) for text in (bad.key, bad.value))
        self.intended_items["dead"] += 1
        return self._hand_out(self.item_topic, key, value, Said(None, reason=bad.reason))
