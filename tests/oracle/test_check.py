#!/usr/bin/env python3
"""The checker finds each kind of wrong and says what it is: planted one by one in what a faultless
product would say."""

import copy
import functools
import json
import pathlib
import pickle
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
# pylint: disable=wrong-import-position
import oracle
from oracle import faultless, log as logs
from oracle.ledger import Produced

EVENTS, USERS, ITEMS, PARTITIONS = 1500, 150, 60, 3
RULES = oracle.Rules(
    types={
        "played": oracle.EventType(cap=3), "wishlist": oracle.EventType(weight=0.5, hides=False),
    },
    history_max=120, seen_max=400, dedup_window=64, n=10, neighbours_max=1000,
    max_age_ms=oracle.Limits().max_age_ms, impressions_max=2,
)


class World:
    """A ledger, its log, and what is observed of instances without fault."""

    def __init__(self, shares=(range(PARTITIONS),), seed=1):
        self.broker = faultless.Broker(PARTITIONS)
        self.ledger = oracle.Ledger(
            seed, "t", PARTITIONS, users=USERS, items=ITEMS, item_topic="items",
            mix={"bad": 80, "forget_for_good": 10},
        )
        self.broker.send(self.ledger.next(EVENTS))
        self.log = logs.look(self.ledger, self.broker)
        self.state = oracle.fold_placed(self.log.placed, RULES, self.log.said)
        items = sorted({item for _, item in self.state.sums})
        self.made = faultless.generation(items, 6, seed=4)
        self.observed = faultless.observed_of(
            self.broker, self.ledger, self.log, self.state, self.made, RULES, shares
        )
        self.bytes = pickle.dumps(self.observed)

    def fresh(self):
        """A copy to plant something in."""
        observed = pickle.loads(self.bytes)
        for instance in observed.instances:
            instance.generation = lambda key: self.made
        return observed

    def judge(self, observed):
        return oracle.judge(observed, self.ledger, self.log, lambda arm: RULES)


@functools.cache
def world_of(shares):
    return World(shares)


class Planted(unittest.TestCase):
    """A copy of what a faultless product says, to plant one wrong in."""

    world = None
    shares = (range(PARTITIONS),)

    @classmethod
    def setUpClass(cls):
        cls.world = world_of(cls.shares)

    def setUp(self):
        self.observed = self.world.fresh()
        self.instance = self.observed.instances[0]
        self.dump = self.instance.dump
        self.name, self.user = next(
            (name, user) for name, user in sorted(self.dump.users.items())
            if len(user["interactions"]) > 4 and user["shown"]
        )

        self.forgotten = next(
            name for name in sorted(self.world.state.forgotten) if name.startswith("u")
        )

    def line(self, partition=None):
        """The partition's, of the user if none is named."""
        return self.dump.partitions["t", self.user["partition"] if partition is None else partition]

    def found(self, about, *texts, lost=0, doubled=0):
        """Judges; exactly one kind of finding is enough, and it says what is wrong."""
        report = self.world.judge(self.observed)
        self.assertEqual((report.lost, report.doubled), (lost, doubled), report)
        self.assertFalse(report.ok)
        fitting = [
            sentence for sentence in report.findings
            if sentence.startswith(about + ": ") and all(str(text) in sentence for text in texts)
        ]
        self.assertTrue(fitting, report)
        return report

    def published(self, key, change):
        """Changes a list in Redis."""
        published = json.loads(self.observed.lists[key])
        change(published)
        self.observed.lists[key] = json.dumps(published).encode()


class NothingPlanted(Planted):
    def test_nothing_is_found_and_all_is_counted(self):
        report = self.world.judge(self.observed)
        self.assertTrue(report.ok, report)
        self.assertEqual(report.events, len(self.world.log.placed))
        self.assertEqual(report.lists, len(self.world.state.users))
        self.assertEqual(+report.counted, self.world.ledger.intended)
        self.assertGreater(report.dead, 80)


class WrongStates(Planted):
    def lose(self):
        """The user's newest interaction is not in the state; returns it."""
        gone = self.user["interactions"].pop()
        self.user["events"] -= 1
        return gone

    def test_an_event_that_was_lost(self):
        self.lose()
        self.line()["counters"]["applied"] -= 1
        self.found("state", "user", self.name, "events", lost=1)

    def test_an_event_that_was_counted_and_not_kept(self):
        self.lose()
        self.found("state", "user", self.name, "interactions", lost=1)

    def test_an_event_that_was_lost_and_another_doubled_in_its_place(self):
        self.user["interactions"][-1] = dict(self.user["interactions"][-2])
        self.found("state", "user", self.name, "interactions", lost=1, doubled=1)

    def test_an_event_that_was_applied_twice(self):
        self.user["interactions"].append(dict(self.user["interactions"][-1]))
        self.user["events"] += 1
        self.line()["counters"]["applied"] += 1
        self.found("state", "user", self.name, "events", doubled=1)

    def test_an_event_that_is_doubled_in_the_counters_alone(self):
        self.line()["counters"]["applied"] += 1
        self.found("counters", "applied", doubled=1)

    def test_a_counter_that_is_off_by_one(self):
        self.line()["counters"]["impressions"] -= 1
        self.found("counters", "impressions", lost=1)

    def test_an_event_counted_as_another_kind(self):
        self.line()["counters"]["late"] -= 1
        self.line()["counters"]["duplicate"] += 1
        report = self.found("counters", "late is")
        self.assertTrue(any("duplicate is" in sentence for sentence in report.findings))

    def test_a_counter_of_item_records_that_is_off_by_one(self):
        self.dump.partitions["items", 0]["counters"]["item_records"] += 1
        self.found("counters", "item_records")

    def test_a_user_who_is_not_there(self):
        del self.dump.users[self.name]
        del self.observed.lists[self.name]
        self.found("state", self.name, "not in the dump", lost=self.user["events"])

    def test_a_forgotten_user_who_is_there(self):
        name = self.forgotten
        self.observed.lists[name] = self.observed.lists[self.name]
        self.dump.users[name] = copy.deepcopy(self.user)
        self.dump.trials.clear()
        self.found("state", name, "should not be in the dump", doubled=self.user["events"])

    def test_an_item_that_was_counted_twice(self):
        line = next(iter(self.dump.sums.values()))
        line["count"] += 1
        self.found("state", "sums")

    def test_co_occurrence_counted_twice(self):
        neighbour = next(iter(self.dump.pairs.values()))["neighbours"][0]
        for direction in ("forward", "backward"):
            neighbour[direction] = {key: 2 * count for key, count in neighbour[direction].items()}
        self.found("state", "pairs", neighbour["item"])

    def test_an_impression_counted_twice(self):
        self.user["shown"][0]["count"] += 1
        self.found("state", self.name, "shown")

    def test_an_item_record_that_was_missed(self):
        next(iter(self.dump.items.values()))["title"] = "an old one"
        self.found("state", "item", "title")

    def test_a_state_that_is_not_at_the_end(self):
        self.line()["next_offset"] -= 1
        self.found("state", "next_offset")


class WrongLists(Planted):
    def test_a_list_that_is_not_there(self):
        del self.observed.lists[self.name]
        self.found("lists", self.name, "not in Redis")

    def test_a_stale_list(self):
        last = self.user["wanted"]["offset"]

        def age(published):
            parts = published["v"].split(".")
            published["v"] = ".".join([*parts[:2], f"{last - 1:016x}", parts[3]])

        self.published(self.name, age)
        self.found("lists", self.name, "stale")

    def test_a_list_of_another_state_or_partition_or_swap(self):
        for place, part in enumerate(("epoch", "partition", "offset", "swap")):
            with self.subTest(part):
                self.observed = self.world.fresh()

                def change(published, place=place):
                    parts = published["v"].split(".")
                    parts[place] = f"{int(parts[place], 16) + 1:0{len(parts[place])}x}"
                    published["v"] = ".".join(parts)

                self.published(self.name, change)
                self.found("lists", self.name, "version", part)

    def test_a_list_that_says_another_generation(self):
        self.published(self.name, lambda published: published.update(gen=2))
        self.found("generations", self.name, "of generation 2")

    def test_a_list_made_by_another_generation(self):
        items = sorted({item for _, item in self.world.state.sums})
        other = faultless.generation(items, 6, seed=5)
        model = oracle.Model(self.dump, other, RULES)
        self.observed.lists[self.name] = faultless.list_of(model, self.name, "t")
        self.found("lists", self.name, "want")

    def test_lists_of_two_generations_in_one(self):
        """The first half by one, the second by another."""
        other = faultless.generation(self.world.made.ids, 6, seed=5)
        model = oracle.Model(self.dump, other, RULES)
        theirs = json.loads(faultless.list_of(model, self.name, "t"))["items"]
        self.published(self.name, lambda p: p.update(items=p["items"][:5] + theirs[5:]))
        self.found("lists", self.name)

    def test_a_score_a_time_and_an_item_that_are_not_right(self):
        def another(published):
            published["items"][3][1] *= 1.001

        def twice(published):
            published["items"][3] = published["items"][2]

        for change, text in (
            (another, "scored"), (twice, "twice"),
            (lambda published: published.update(ts=published["ts"] - 1), "ts"),
            (lambda published: published.update(user="another"), "user is"),
            (lambda published: published["items"].pop(), "items, want"),
        ):
            with self.subTest(text):
                self.observed = self.world.fresh()
                self.published(self.name, change)
                self.found("lists", self.name, text)

    def test_a_list_that_the_state_does_not_know_of(self):
        self.user["list"] = self.user["list"][1:]
        self.found("lists", self.name, "acknowledged")

    def test_a_list_that_is_still_owed(self):
        self.user["acked"] = {"offset": self.user["wanted"]["offset"] - 1, "swap": 1}
        self.found("lists", self.name, "still owed")

    def test_a_list_of_a_forgotten_user_and_one_of_nobody(self):
        name = self.forgotten
        self.observed.lists[name] = self.observed.lists[self.name]
        self.found("lists", name, "forgotten")
        self.observed = self.world.fresh()
        self.observed.lists["never heard of"] = self.observed.lists[self.name]
        self.found("lists", "never heard of", "nobody")

    def test_a_popular_list_of_no_prefix_and_none(self):
        self.observed.popular = self.observed.popular.replace(b".0000.00", b".0000.80")
        self.found("lists", "popular", "is learned up to")
        self.observed = self.world.fresh()
        self.observed.popular = None
        self.found("lists", "popular", "no list")

    def test_what_is_no_list_and_a_tombstone_of_a_user_who_came_back(self):
        self.observed.lists[self.name] = b"hello"
        self.found("lists", self.name, "no list")
        self.observed = self.world.fresh()
        self.observed.lists[self.name] = self.observed.lists[self.forgotten]
        self.found("lists", self.name, "came back")

    def test_a_forgotten_user_may_have_no_tombstone(self):
        del self.observed.lists[self.forgotten]
        self.assertTrue(self.world.judge(self.observed).ok)


class WrongLetters(Planted):
    def change(self, **fields):
        record = self.observed.letters[0]
        letter = {**json.loads(record.value), **fields}
        self.observed.letters[0] = record._replace(value=json.dumps(letter).encode())

    def test_a_dead_letter_that_is_missing(self):
        letter = json.loads(self.observed.letters.pop().value)
        self.found("dead letters", "none", letter["offset"], lost=1)

    def test_a_dead_letter_of_a_good_event(self):
        extra = self.user["interactions"][0]["offset"]
        self.observed.letters.append(self.observed.letters[0])
        self.change(topic="t", partition=self.user["partition"], offset=extra)
        self.found("dead letters", extra, "no bad event")

    def test_a_dead_letter_with_another_reason_or_payload_or_key(self):
        self.change(reason="because")
        self.found("dead letters", "because")
        self.observed = self.world.fresh()
        self.change(payload="not this")
        self.found("dead letters", "payload")
        self.observed = self.world.fresh()
        self.observed.letters[0] = self.observed.letters[0]._replace(key=b"another")
        self.found("dead letters", "keyed")

    def test_a_dead_letter_may_come_twice(self):
        self.observed.letters.append(self.observed.letters[0])
        report = self.world.judge(self.observed)
        self.assertTrue(report.ok, report)
        self.assertEqual(report.redelivered, 1)


class WrongOffsets(Planted):
    def test_a_group_that_is_ahead_of_the_state(self):
        self.observed.committed[1] += 1
        self.found("offsets", "partition 1", "the group")

    def test_a_group_may_be_behind_or_have_none(self):
        self.observed.committed[1] -= 1
        self.observed.committed[2] = -1
        self.assertTrue(self.world.judge(self.observed).ok)

    def test_a_state_beyond_the_log(self):
        self.observed.ends["t", 1] -= 1
        self.found("offsets", "partition 1", "the log ends")
        self.observed = self.world.fresh()
        self.observed.ends["items", 0] -= 1
        self.found("offsets", "items", "the log ends")


class WrongProcesses(Planted):
    def test_an_instance_that_did_not_end_well(self):
        self.instance.exit_status = 75
        self.found("process", "75")

    def test_a_ledger_that_is_wrong_itself(self):
        self.world.ledger.intended["applied"] += 1
        self.addCleanup(self.world.ledger.intended.subtract, {"applied": 1})
        self.found("ledger", "applied")


class SeveralInstances(Planted):
    """Two instances; each also has an old copy of what the other owns now."""

    shares = ((0, 2), (1,))

    def setUp(self):
        super().setUp()
        self.other = self.observed.instances[1]

    def test_only_the_present_owner_counts(self):
        for instance in self.observed.instances:
            for name, user in list(instance.dump.users.items()):
                if user["partition"] not in instance.owns:
                    user["events"] -= 1
                    del user["interactions"][0]
            for key, line in instance.dump.partitions.items():
                if key[0] == "t" and key[1] not in instance.owns:
                    line["next_offset"] -= 1
                    line["counters"]["applied"] -= 1
        report = self.world.judge(self.observed)
        self.assertTrue(report.ok, report)
        self.assertEqual(report.lists, len(self.world.state.users))

    def test_what_the_owner_lost_is_seen(self):
        self.other.dump.partitions["t", 1]["counters"]["applied"] -= 1
        self.found("counters", "applied", lost=1)

    def test_a_partition_of_nobody_and_one_of_two(self):
        self.instance.owns = {0, 1, 2}
        self.found("state", "partition 1", "belongs to")
        self.observed = self.world.fresh()
        self.observed.instances[1].owns = set()
        report = self.world.judge(self.observed)
        self.assertIn("state: partition 1 belongs to nobody", report.findings)
        self.assertGreater(report.lost, 100)

    def test_a_late_write_of_the_former_owner_is_seen(self):
        name = next(n for n, u in sorted(self.other.dump.users.items()) if u["partition"] == 1)
        model = oracle.Model(self.dump, self.world.made, RULES)  # by the state of the first
        old = json.loads(faultless.list_of(model, name, "t"))
        old["v"] = old["v"].replace("00000007.", "00000006.")
        self.observed.lists[name] = json.dumps(old).encode()
        self.found("lists", name, "epoch")

    def test_items_are_known_to_each(self):
        next(iter(self.other.dump.items.values()))["title"] = "an old one"
        self.found("state", self.other.name, "title")


class LogTest(unittest.TestCase):
    """What is looked up is what was sent, wherever and however often it lies there."""

    def setUp(self):
        self.broker = faultless.Broker(2)
        self.ledger = oracle.Ledger(3, "t", 2, users=50, items=20, item_topic="items")
        self.records = self.ledger.next(500)

    def look(self, records):
        self.broker.send(records)
        return logs.look(self.ledger, self.broker)

    def test_all_is_found_in_order(self):
        log = self.look(self.records)
        self.assertEqual((log.findings, log.in_order), ([], True))
        self.assertEqual(len(log.placed) + len(log.said), 500)

    def test_what_was_produced_twice_or_out_of_order_is_seen_and_no_fault(self):
        events = [record for record in self.records if record.topic == "t"]
        log = self.look([*self.records, events[7]])
        self.assertEqual((log.findings, log.in_order), ([], False))
        self.broker = faultless.Broker(1)
        self.ledger.places.clear()
        log = self.look(self.records[::-1])
        self.assertEqual((log.findings, log.in_order), ([], False))

    def test_what_is_not_there_or_nobodys_or_at_another_time_is_found(self):
        gone = next(record for record in self.records if record.topic == "t")
        log = self.look([record for record in self.records if record is not gone])
        self.assertEqual(len(log.findings), 1)
        self.assertIn("not there", log.findings[0])
        log = self.look([gone, Produced("t", b"u1", b"who is that", gone.timestamp_ms)])
        self.assertIn("nobody's record", log.findings[0])
        log = self.look([gone._replace(timestamp_ms=5)])
        self.assertIn("its timestamp is 5", log.findings[1])

    def test_places_are_remembered_when_the_log_is_cut(self):
        self.look(self.records)
        self.broker.logs["t"] = self.broker.logs["t"][400:]
        log = logs.look(self.ledger, self.broker)
        self.assertEqual((log.findings, log.in_order), ([], True))
        self.assertEqual(len(log.placed) + len(log.said), 500)


if __name__ == "__main__":
    unittest.main()
