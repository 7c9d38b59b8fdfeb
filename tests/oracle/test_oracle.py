#!/usr/bin/env python3
"""The oracle itself, on small synthetic data: it must be right, and must see what is wrong."""

import dataclasses
import json
import math
import pathlib
import random
import struct
import sys
import tempfile
import unittest

import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / place) for place in ("", "e2e")]
# pylint: disable=wrong-import-position
import oracle
from oracle.faultless import dump_of, generation
from services import Record

NOW = 1_700_000_000_000
HOUR = 3_600_000
RULES = oracle.Rules(
    types={
        "played": oracle.EventType(),
        "wishlist": oracle.EventType(weight=0.5, hides=False),
        "dislike": oracle.EventType(weight=-1.0, hides=False),
    },
    history_max=3, seen_max=3, dedup_window=2, n=3, max_age_ms=10 * HOUR, neighbours_max=100, impressions_max=2,
)


def record(offset, partition=0, **event):
    value = json.dumps({"type": "played", "user": "u", **event}).encode()
    return Record(partition, offset, NOW, b"u", value)


class FoldTest(unittest.TestCase):
    def test_history_keeps_the_newest_by_event_time(self):
        state = oracle.fold(
            [record(i, item=f"i{i}", ts=NOW - age) for i, age in enumerate((5, 1, 9, 3))], RULES
        )
        kept = [entry[2] for entry in state.users["u"].interactions]
        self.assertEqual(kept, ["i0", "i3", "i1"])

    def test_seen_items_leave_least_recently_touched_first(self):
        items = ["a", "b", "c", "a", "d"]
        state = oracle.fold([record(i, item=item) for i, item in enumerate(items)], RULES)
        self.assertEqual(list(state.users["u"].seen), ["c", "a", "d"])

    def test_a_known_id_counts_as_duplicate_within_the_window_alone(self):
        ids = ["x", "x", "y", "z", "x"]
        state = oracle.fold([record(i, item="a", id=x) for i, x in enumerate(ids)], RULES)
        self.assertEqual(state.counters[0]["duplicate"], 1)
        self.assertEqual(state.counters[0]["applied"], 4)

    def test_a_late_event_is_counted_and_not_applied(self):
        state = oracle.fold(
            [record(0, item="a", ts=NOW), record(1, item="b", ts=NOW - 11 * HOUR)], RULES
        )
        self.assertEqual(state.counters[0]["late"], 1)
        self.assertNotIn("b", state.users["u"].seen)

    def test_retracting_leaves_the_other_types_of_the_item(self):
        state = oracle.fold(
            [
                record(0, item="a", id="x"),
                record(1, item="a", id="y", type="wishlist"),
                record(2, type="retract", ref="x"),
                record(3, type="retract", ref="nothing"),
            ],
            RULES,
        )
        user = state.users["u"]
        self.assertEqual(user.seen, {"a": {"wishlist"}})
        self.assertEqual(user.wanted_offset, 3)
        self.assertEqual(state.counters[0]["retracted"], 1)
        self.assertEqual(state.counters[0]["retract_miss"], 1)

    def test_a_forgotten_user_begins_anew(self):
        state = oracle.fold(
            [record(0, item="a"), record(1, type="forget_user"), record(2, item="b")], RULES
        )
        self.assertEqual(list(state.users["u"].seen), ["b"])
        self.assertEqual(state.users["u"].events, 1)

    def test_dead_records_count_and_do_nothing(self):
        bad = Record(0, 1, NOW, b"u", b"{")
        state = oracle.fold([record(0, item="a"), bad], RULES, dead={(0, 1)})
        self.assertEqual((state.counters[0]["dead"], state.counters[0]["applied"]), (1, 1))
        self.assertEqual(state.next_offset[0], 2)

    def test_sums_decay_by_half_a_half_life(self):
        state = oracle.fold(
            [record(0, item="a", ts=NOW), record(1, item="a", ts=NOW - HOUR)], RULES
        )
        sums = state.sums[0, "a"]
        self.assertAlmostEqual(sums.decayed(HOUR, sums.ts), 1.5, places=14)
        self.assertAlmostEqual(sums.decayed(HOUR, NOW + HOUR), 0.75, places=14)

    def test_a_type_of_no_positive_weight_is_in_no_sum(self):
        state = oracle.fold([record(0, item="a", type="dislike")], RULES)
        self.assertEqual(state.sums, {})
        self.assertIn("a", state.users["u"].seen)

    def test_the_first_use_of_an_item_goes_with_the_latest_ones_before_it(self):
        items, rules = ["a", "b", "c", "a"], dataclasses.replace(RULES, history_max=9, seen_max=9)
        state = oracle.fold(
            [record(i, item=item, ts=NOW + i * 24 * HOUR) for i, item in enumerate(items)], rules
        )
        a, b, c = (state.pairs[0, item] for item in "abc")
        self.assertEqual((a.applied, b.applied, c.applied), (2, 2, 2))
        self.assertEqual(list(a.neighbours), ["b", "c"])
        self.assertEqual(a.neighbours["b"]["forward"], [(NOW + 24 * HOUR, 1.0)])
        self.assertEqual(a.neighbours["c"]["forward"], [(NOW + 48 * HOUR, 0.8)])
        self.assertEqual(c.neighbours["a"]["backward"], [(NOW + 48 * HOUR, 0.8)])
        self.assertEqual(c.neighbours["a"]["forward"], [])
        later = oracle.count_of(a.neighbours["c"]["forward"], 24 * HOUR, NOW + 72 * HOUR)
        self.assertAlmostEqual(later, 0.4, places=14)
        self.assertEqual(oracle.count_of([(NOW, 0.8)], math.inf, NOW + HOUR), 0.8)

    def test_what_is_not_liked_and_what_was_forgotten_go_with_nothing(self):
        state = oracle.fold(
            [
                record(0, item="a"),
                record(1, item="b", type="dislike"),
                record(2, type="forget_user"),
                record(3, item="c", type="dislike"),
                record(4, item="d"),
            ],
            RULES,
        )
        self.assertEqual(state.pairs, {})

    def test_the_latest_items_are_distinct_and_by_event_time(self):
        state = oracle.fold(
            [
                record(0, item="a", ts=NOW),
                record(1, item="b", ts=NOW - 2),
                record(2, item="a", ts=NOW - 1),
                record(3, item="c", ts=NOW),
            ],
            RULES,
        )
        (_, weight), = state.pairs[0, "b"].neighbours["c"]["forward"]
        self.assertEqual(weight, 0.8)
        self.assertEqual(oracle.latest_distinct(["a", "b", "a"], 1), ["a"])

    def test_what_was_shown_is_kept_until_it_is_used(self):
        shown = [("a", 5), ("b", 6), ("a", 3), ("c", 7)]
        records = [record(0, item=item) for item in "z"]
        records += [record(1, partition=1, item=item, user="v") for item in "a"]
        said = [Record(0, i, NOW, item.encode(), b"{}") for i, item in enumerate("bc")]
        for place, (item, ts) in enumerate(shown):
            records.append(record(1 + place, item=item, ts=NOW + ts, type="impression"))
        rules = dataclasses.replace(RULES, impressions_want_lists=True)
        user = oracle.fold(records, rules, item_records=said).users["u"]
        self.assertEqual(user.shown, {"a": [2, NOW + 5], "c": [1, NOW + 7]})
        self.assertEqual((user.events, user.wanted_offset), (1, 5))
        records.append(record(5, item="a", ts=NOW))
        state = oracle.fold(records, RULES, item_records=said)
        self.assertEqual(state.users["u"].shown, {"c": [1, NOW + 7]})
        self.assertEqual(state.counters[0]["impressions"], 4)

    def test_impressions_make_no_user_and_are_dropped_as_events_are(self):
        records = [
            record(0, item="a", type="impression"),
            record(1, item="a", ts=NOW),
            record(2, item="never used", type="impression"),
            record(3, item="a", type="impression", id="x"),
            record(4, item="a", type="impression", id="x"),
            record(5, item="a", type="impression", ts=NOW - 11 * HOUR),
        ]
        state = oracle.fold(records[:1], RULES)
        self.assertEqual((state.users, state.stream_ts), ({}, {}))
        state = oracle.fold(records, RULES)
        self.assertEqual(list(state.users["u"].shown), ["a"])
        counted = {name: count for name, count in state.counters[0].items() if count}
        self.assertEqual(counted, {"applied": 1, "impressions": 3, "duplicate": 1, "late": 1})
        none = oracle.fold(records, dataclasses.replace(RULES, impressions_max=0))
        self.assertEqual(none.users["u"].shown, {})
        self.assertEqual(none.counters[0]["impressions"], 4)

    def test_the_last_record_of_an_item_stands(self):
        values = [b'{"title":"x"}', b'{"title":"y"}', b"{", None]
        records = [Record(0, i, NOW, b"ab"[i // 3 : i // 3 + 1], v) for i, v in enumerate(values)]
        state = oracle.fold([], RULES, item_records=records, dead_items={(0, 2)})
        self.assertEqual(state.items, {"a": {"title": "y"}})


def random_stream(seed, events=400):
    """Records of twenty users and thirty items over two partitions."""
    draw = random.Random(seed)
    offsets, records = [0, 0], []
    for _ in range(events):
        user = draw.randrange(20)
        partition = user % 2
        event = {
            "user": f"u{user}", "item": f"i{draw.randrange(30)}",
            "type": draw.choice(["played", "wishlist", "impression"]), "ts": NOW - draw.randrange(9 * HOUR),
        }
        value = json.dumps(event).encode()
        records.append(Record(partition, offsets[partition], NOW, b"", value))
        offsets[partition] += 1
    return records


class DumpTest(unittest.TestCase):
    def setUp(self):
        titled = Record(0, 0, NOW, b"i1", b'{"item":"i1","title":"One"}')
        self.state = oracle.fold(random_stream(1), RULES, item_records=[titled])
        self.dump = dump_of(self.state)

    def differences(self):
        return oracle.dump_differences(self.dump, self.state, "t")

    def test_the_fold_equals_itself(self):
        self.assertEqual(self.differences(), [])

    def test_a_missing_user_is_seen(self):
        del self.dump.users["u3"]
        self.assertEqual(len(self.differences()), 1)

    def test_a_sum_that_is_off_by_more_than_its_tolerance_is_seen(self):
        line = next(iter(self.dump.sums.values()))
        line["decayed"]["1w"] *= 1 + 3e-9
        self.assertEqual(len(self.differences()), 1)

    def test_a_count_of_pairs_that_is_off_by_more_than_its_tolerance_is_seen(self):
        line = next(iter(self.dump.pairs.values()))
        neighbour = next(n for n in line["neighbours"] if n["forward"]["1d"] > 0)
        neighbour["forward"]["1d"] *= 1 + 3e-5
        self.assertEqual(len(self.differences()), 1)

    def test_neighbours_in_another_order_or_at_another_offset_are_seen(self):
        lines = iter(self.dump.pairs.values())
        next(lines)["neighbours"].reverse()
        next(lines)["applied"] += 1
        self.assertEqual(len(self.differences()), 2)

    def test_an_item_that_should_go_with_nothing_is_seen(self):
        del self.state.pairs[0, "i3"]
        self.assertEqual(len(self.differences()), 1)

    def test_an_event_applied_twice_is_seen(self):
        self.dump.partitions["t", 1]["counters"]["applied"] += 1
        self.dump.users["u1"]["events"] += 1
        self.assertEqual(len(self.differences()), 2)

    def test_an_impression_counted_twice_is_seen(self):
        user = next(user for user in self.dump.users.values() if user["shown"])
        user["shown"][0]["count"] += 1
        self.assertEqual(len(self.differences()), 1)

    def test_a_trial_that_is_not_of_its_users_is_seen(self):
        self.dump.trials[0, "00000000000000aa"]["nh"] += 1
        self.assertEqual(len(self.differences()), 1)

    def test_a_trial_whose_users_went_on_may_have_more_but_not_less(self):
        trial = self.dump.trials[0, "00000000000000aa"]
        trial["users"] += 1
        trial["events"] += 5
        self.assertEqual(self.differences(), [])
        trial["events"] -= 6
        self.assertEqual(len(self.differences()), 1)

    def test_another_title_is_seen(self):
        self.dump.items["i1"]["title"] = "Two"
        self.assertEqual(len(self.differences()), 1)

    def test_an_interaction_of_another_value_is_seen(self):
        self.dump.users["u1"]["interactions"][0]["value"] = 2.0
        self.assertEqual(len(self.differences()), 1)


def write_generation(path, generation):
    """The file of model/generation.h, but for its checksum."""
    manifest = json.dumps(generation.manifest).encode()
    texts = [item.encode() for item in generation.ids]
    begins = np.cumsum([0] + [len(text) for text in texts]).astype("<u4").tobytes()
    ids = begins + b"".join(texts)
    items, rank = generation.factors.shape
    stride = (rank + 15) // 16 * 16
    padded = np.zeros((items, stride), "<f4")
    padded[:, :rank] = generation.factors
    manifest_at = 80
    ids_at = manifest_at + len(manifest)
    factors_at = (ids_at + len(ids) + 63) // 64 * 64
    size = factors_at + padded.nbytes
    head = b"FRESHGEN" + struct.pack("<IIQ", 1, 0x01020304, 0) + struct.pack(
        "<QQIIQQQQ", size, items, rank, stride, manifest_at, len(manifest), ids_at, factors_at
    )
    body = (head + manifest + ids).ljust(factors_at, b"\0")
    path.write_bytes(body + padded.tobytes())


class GenerationTest(unittest.TestCase):
    def test_a_file_reads_back(self):
        wrote = generation(["b", "a", "çedille"], 5, seed=2)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "1.gen"
            write_generation(path, wrote)
            read = oracle.read_generation(path)
        self.assertEqual((read.ids, read.manifest), (wrote.ids, wrote.manifest))
        np.testing.assert_array_equal(read.factors, wrote.factors.astype("<f4"))


class ListTest(unittest.TestCase):
    """All of it on a random stream; the generation lacks the last items, as newer ones would."""

    def setUp(self):
        self.dump = dump_of(oracle.fold(random_stream(3), RULES))
        items = sorted({item for _, item in self.dump.sums})[:25]
        self.generation = generation(items, 6, seed=4)
        self.model = oracle.Model(self.dump, self.generation, RULES)
        self.user = self.dump.users["u5"]

    def published(self):
        scores = self.model.scores(self.user)
        top = self.model.top(scores)
        return [[self.model.items[column], float(scores[column])] for column in top]

    def differences(self, published):
        return self.model.list_differences("u5", self.user, published)

    def test_the_fold_in_minimises_the_users_objective(self):
        # sum over seen c (1 - x.y)^2 + w0 sum over all (x.y)^2 + lambda n |x|^2
        x = self.model.user_factors(self.user)
        c = oracle.confidences(
            self.user["interactions"], RULES.types, 2.0, 0.8, self.dump.now
        )
        c = {item: value for item, value in c.items() if item in self.generation.ids}

        def objective(x):
            predicted = dict(zip(self.generation.ids, self.generation.factors @ x))
            seen = sum(value * (1 - predicted[item]) ** 2 for item, value in c.items())
            every = 0.1 * sum(p * p for p in predicted.values())
            return seen + every + 0.02 * len(c) * (x @ x)

        least = objective(x)
        for direction in np.random.default_rng(5).normal(size=(50, 6)):
            self.assertGreater(objective(x + 1e-3 * direction), least)

    def test_steps_of_sgd_do_not_depend_on_the_basis(self):
        rules = dataclasses.replace(RULES, update="sgd", sgd_rate=0.1)
        turn, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(6, 6)))
        turned = dataclasses.replace(self.generation, factors=self.generation.factors @ turn)
        scores = oracle.Model(self.dump, self.generation, rules).scores(self.user)
        others = oracle.Model(self.dump, turned, rules).scores(self.user)
        finite = np.isfinite(scores)
        np.testing.assert_allclose(scores[finite], others[finite], rtol=1e-9, atol=1e-12)
        self.assertFalse(np.allclose(scores[finite], self.model.scores(self.user)[finite]))

    def test_its_own_list_has_no_differences(self):
        self.assertEqual(self.differences(self.published()), [])

    def test_hidden_and_blocked_items_are_in_no_list(self):
        first = self.published()[0][0]
        said = {"blocked": True, "from": None, "until": None, "categories": []}
        self.dump.items[first] = said
        model = oracle.Model(self.dump, self.generation, RULES)
        self.assertTrue(model.list_differences("u5", self.user, self.published()))
        names = [item for item, _ in self.published()]
        for seen in self.user["seen"]:
            if "played" in seen["types"]:
                self.assertNotIn(seen["item"], names)

    def test_a_wrong_score_is_seen(self):
        published = self.published()
        published[1][1] *= 1.0005
        self.assertEqual(len(self.differences(published)), 1)

    def together(self, **weights):
        """The same model with what goes together."""
        weights = {
            **self.generation.manifest["weights"], "together": 2.0, "together_rho": 0.7,
            "together_horizon": "1d", "together_direction": "forward", **weights,
        }
        changed = dataclasses.replace(
            self.generation, manifest={**self.generation.manifest, "weights": weights}
        )
        return oracle.Model(self.dump, changed, RULES)

    def expected_together(self, model, horizon, directions):
        """Item by item from the fold's own events, not from the dump."""
        state, half_life = oracle.fold(random_stream(3), RULES), oracle.PAIRS_HALF_LIFE_MS[horizon]
        latest = [entry[2] for entry in reversed(state.users["u5"].interactions)]
        latest = [item for place, item in enumerate(latest) if item not in latest[:place]]
        now = self.dump.now

        def uses(item):
            times = [t for (_, i), s in state.sums.items() if i == item for t in s.times]
            return sum(2.0 ** -((now - t) / half_life) for t in times) + 10

        def pairs(j, i):
            tables = [t for (_, item), t in state.pairs.items() if item == j]
            events = [
                event for table in tables for direction in directions
                for event in table.neighbours.get(i, {}).get(direction, [])
            ]
            return sum(w * 2.0 ** -((now - t) / half_life) for t, w in events)

        return [
            sum(
                0.7**d * pairs(j, i) / math.sqrt(uses(i) * uses(j)) for d, j in enumerate(latest)
            )
            for i in model.items
        ]

    def test_what_goes_together_is_counted_over_partitions_and_faded(self):
        for horizon in ("1d", "ever"):
            for name, directions in (("forward", ["forward"]), ("both", ["forward", "backward"])):
                model = self.together(together_horizon=horizon, together_direction=name)
                want = self.expected_together(model, horizon, directions)
                have = model.together(self.user)
                np.testing.assert_allclose(have, want, rtol=1e-6)
                self.assertGreater(np.count_nonzero(have), 5)

    def test_together_adds_to_the_score_of_users_with_and_without_factors(self):
        for changes in ({}, {"taste": 0.0}):
            model = self.together(**changes)
            without = self.together(together=0.0, **changes)
            finite = np.isfinite(model.scores(self.user))
            np.testing.assert_allclose(
                model.scores(self.user)[finite] - without.scores(self.user)[finite],
                2.0 * model.together(self.user)[finite], rtol=1e-9, atol=1e-12,
            )

    def test_without_factors_and_trend_a_little_trend_orders_the_rest(self):
        model = self.together(taste=0.0, trend=0.0, together=0.0)
        np.testing.assert_array_equal(
            model.scores(None)[model.eligible], 1e-6 * model.trend[model.eligible]
        )

    def test_two_items_in_the_wrong_order_are_seen(self):
        published = self.published()
        published[0], published[1] = published[1], published[0]
        self.assertEqual(len(self.differences(published)), 2)

    def test_near_ties_may_change_places(self):
        published = self.published()
        self.assertTrue(oracle.close(1.0, 1.00005))
        scores = self.model.scores(self.user)
        column = self.model.column[published[1][0]]
        self.model.scores = lambda user: scores
        scores[column] = scores[self.model.column[published[0][0]]] * 0.99999
        published[1][1] = scores[column]
        published[0], published[1] = published[1], published[0]
        self.assertEqual(self.differences(published), [])

    def test_a_short_list_is_seen(self):
        self.assertEqual(len(self.differences(self.published()[:-1])), 1)

    def test_confidence_is_capped_and_decayed_and_signed(self):
        types = {
            "a": oracle.EventType(weight=2.0, cap=3.0, value="log"),
            "b": oracle.EventType(weight=-1.0, half_life_ms=HOUR),
        }
        entries = [
            {"item": "x", "type": "a", "value": math.e - 1, "ts": NOW - HOUR},
            {"item": "x", "type": "a", "value": 50.0, "ts": NOW},
            {"item": "y", "type": "b", "value": 9.0, "ts": NOW - HOUR},
            {"item": "z", "type": "unknown", "value": 9.0, "ts": NOW - HOUR // 2},
        ]
        c = oracle.confidences(entries, types, 10.0, 0.5, NOW)
        self.assertAlmostEqual(c["x"], 30.0)  # 2 ln(51) + 1 is over the cap
        self.assertAlmostEqual(c["y"], -10.0 * 0.5 * 0.5)  # one half-life, one position

    def test_versions_are_fixed_width(self):
        version = self.model.version(1, "t")
        self.assertRegex(version, r"^00000007\.0001\.[0-9a-f]{16}\.00000001$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
