#!/usr/bin/env python3
"""The ledger: what it says of a record is what is written there, and it keeps count itself."""

import collections
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
# pylint: disable=wrong-import-position
import oracle
from oracle import faultless, log as logs
from oracle.bad import BAD, BAD_ITEMS, HUGE
from oracle.events import DEAD, INTERACTION
from oracle.ledger import MIX, Limits

RECORDS = 4000


def rules_of(limits):
    return oracle.Rules(
        types={name: oracle.EventType() for name in limits.types}, history_max=limits.history_max,
        seen_max=400, dedup_window=limits.dedup_window, n=10, max_age_ms=limits.max_age_ms,
        impressions_max=limits.impressions_max,
    )


def small(seed, limits=None, **options):
    return oracle.Ledger(
        seed, "t", 3, users=100, items=50, item_topic="items", limits=limits or Limits(), **options
    )


class LedgerTest(unittest.TestCase):
    def test_the_same_seed_gives_the_same_records(self):
        self.assertEqual(small(5).next(500), small(5).next(500))
        self.assertNotEqual(small(5).next(500), small(6).next(500))
        self.assertEqual(small(5).next(500)[:200], small(5).next(200))

    def test_the_bytes_of_a_record_are_nobody_elses(self):
        ledger = small(1)
        records = ledger.next(RECORDS)
        counts = collections.Counter(record[:3] for record in records)
        for name, entry in ledger.entries.items():
            self.assertEqual(len(entry.numbers), counts[name])
        again = [name for name, count in counts.items() if count > 1]
        self.assertTrue(any(topic == "t" for topic, _, _ in again), "the very same was sent again")

    def test_a_good_record_says_what_the_ledger_says(self):
        for seed in range(3):
            ledger = small(seed)
            ledger.next(RECORDS)
            for (topic, key, value), entry in ledger.entries.items():
                if topic == "t" and entry.what.kind != DEAD:
                    self.assert_says(json.loads(value), key, entry)

    def assert_says(self, fields, key, entry):
        event = entry.what
        self.assertEqual(key.decode(), event.user)
        self.assertEqual(fields["type"], event.type)
        for name in ("user", "item", "id", "ref"):
            said = fields.get(name)
            self.assertEqual(None if said is None else str(said), getattr(event, name))
        if event.kind == INTERACTION:
            self.assertEqual(fields.get("ts", entry.timestamps[0]), event.ts)
            value = fields.get("value")
            self.assertEqual(1.0 if value is None else value, event.value)

    def test_what_it_means_is_what_its_fold_makes(self):
        for limits in (
            Limits(), Limits(max_age_ms=0), Limits(impressions_max=0),
            Limits(max_age_ms=6 * 3_600_000 * 24, history_max=30, dedup_window=10),
            Limits(dedup_window=0),
        ):
            for seed in range(4):
                with self.subTest(limits=limits, seed=seed):
                    self.assert_means_its_fold(small(seed, limits), limits)

    def assert_means_its_fold(self, ledger, limits):
        broker = faultless.Broker(3)
        broker.send(ledger.next(RECORDS))
        log = logs.look(ledger, broker)
        self.assertEqual((log.findings, log.in_order), ([], True))
        state = oracle.fold_placed(log.placed, rules_of(limits), log.said)
        counted = sum(map(collections.Counter, state.counters.values()), collections.Counter())
        self.assertEqual(+counted, +ledger.intended)
        counted = collections.Counter(state.items_counters[0])
        self.assertEqual(+counted, +ledger.intended_items)

    def test_every_kind_of_record_and_of_bad_ones_is_there(self):
        ledger = small(1)
        made = collections.Counter()
        for name in MIX:
            make = getattr(ledger, "_make_" + name)

            def counting(name=name, make=make):
                record = make()
                made[name] += record is not None
                return record

            setattr(ledger, "_make_" + name, counting)
        ledger.next(RECORDS)
        self.assertEqual(made.keys(), MIX.keys())
        self.assertGreater(min(made.values()), 0, made)
        reasons = {entry.what.reason for entry in ledger.entries.values()} - {None}
        self.assertEqual(reasons, {bad.reason for bad in [*BAD.values(), *BAD_ITEMS.values()]})
        self.assertGreater(made["bad"], len(BAD))

    def test_users_are_forgotten_for_good_or_come_back(self):
        ledger = small(2, mix={"forget_for_good": 20, "forget": 20})
        broker = faultless.Broker(3)
        broker.send(ledger.next(RECORDS))
        placed = logs.look(ledger, broker).placed
        latest, forgotten = {}, set()
        for at in placed:
            if at.what.kind == "forget_user":
                forgotten.add(at.what.user)
            if at.what.user:
                latest[at.what.user] = at.what.kind
        gone = {person.name for person in ledger.people if person.gone}
        self.assertGreater(len(gone), 5)
        for name in gone:
            self.assertEqual(latest[name], "forget_user")
        back = [name for name in forgotten - gone if latest[name] == INTERACTION]
        self.assertGreater(len(back), 5)

    def test_each_bad_kind_can_be_had(self):
        ledger = small(1)
        records = ledger.one_of_each_bad({**BAD, **HUGE})
        self.assertEqual(len(records), len(BAD) + len(HUGE) + len(BAD_ITEMS))
        self.assertEqual(len({record[:3] for record in records}), len(records))
        sizes = [len(record.value or b"") for record in records]
        self.assertGreater(max(sizes), 9_000_000)

    def test_a_clock_of_the_tests_gives_the_timestamps(self):
        ledger = small(1, clock=lambda: 1_800_000_000_123)
        self.assertEqual({r.timestamp_ms for r in ledger.next(300)}, {1_800_000_000_123})


if __name__ == "__main__":
    unittest.main()
