#!/usr/bin/env python3
"""The whole line on real events: what is kept and what is published is what it should be."""

import json

from harness import EVENTS_FILE, EndToEnd, main, oracle

REPLAYED = 50_000
RATE = 2500  # slow enough for a training beside it, on a busy machine too


def control_events(records):
    """What the recorded stream has none of, for some of its users: (key, value) pairs.

    Ids that repeat, impressions, retractions that find and that miss, events late, out of order and of integer
    ids, users forgotten for good and users who come back.
    """
    events, at = [], max(json.loads(record.value)["ts"] for record in records)
    users = sorted({record.key.decode() for record in records})
    items = sorted({json.loads(record.value)["item"] for record in records})

    def add(user, kind, **event):
        event = {"user": user, "type": kind, **event}
        events.append((str(user).encode(), json.dumps(event).encode()))

    for place in range(60):
        user, item = users[place * 7], items[place * 11]
        add(user, "played", item=item, id=f"e{place}", ts=at + place)
        if place % 3 == 0:
            add(user, "played", item=items[place], id=f"e{place}", ts=at + place)  # a duplicate
        if place % 4 == 0:
            add(user, "wishlist", item=item, id=f"w{place}", ts=at - 1_000_000 * place)
            add(user, "retract", ref=f"e{place}")
        if place % 5 == 0:
            add(user, "retract", ref="of nothing")
        if place % 6 == 0:
            add(user, "played", item=item, ts=1000)  # decades late
        if place % 7 == 0:  # of an item that is known by then: what he has just played
            add(user, "impression", item=item, ts=at + place, id=f"s{place}", list="shown", pos=0)
        if place % 14 == 0:
            add(user, "impression", item=item, ts=at - place)
            add(user, "impression", item=item, ts=at + place, id=f"s{place}")  # known, if it is kept
        if place % 10 == 0:
            add(user, "forget_user")
        if place % 20 == 0:
            add(user, "played", item=items[place + 5], ts=at + place)
        add(100 + place, "wishlist", item=4711 + place, value=2.5, ts=at)  # a new user and item
    add("nobody ever heard of", "forget_user")
    return events


class LineTest(EndToEnd):
    def test_state_and_lists_follow_from_the_log(self):
        freshet = self.freshet("line")
        freshet.start()
        replay = freshet.spawn("replay", EVENTS_FILE, "--limit", REPLAYED, "--rate", RATE)
        before = freshet.wait_generation(1)["records"]["total"]
        self.assertLess(before, REPLAYED, "the first swap came while events did")
        self.assertEqual(replay.wait(), 0)
        controls = control_events(self.kafka.consume(freshet.topic))
        self.kafka.produce(freshet.topic, controls)
        produced = REPLAYED + len(controls)
        freshet.wait_applied(produced)
        freshet.ask("train")
        freshet.wait(lambda s: s["generation"]["newest"] >= 2, "a second generation")

        dump, state = self.assert_two_equalities(freshet, produced)

        for counter in ("duplicate", "late", "retracted", "retract_miss", "forgotten", "impressions"):
            total = sum(counters[counter] for counters in state.counters.values())
            self.assertGreater(total, 0, f"the stream had none: {counter}")
        self.assertEqual(len(state.next_offset), 3, "users are on three partitions")
        self.assertGreaterEqual(dump.state["swap"], 1)
        self.assert_forgotten_users_have_tombstones(freshet, state)

    def test_lists_by_gradient_steps_and_of_a_given_together_follow_too(self):
        model = {"update": "sgd", "objective": "hu", "together_weight": 0.5}
        freshet = self.freshet("steps", {"model": model, "train": {"first_events": 2000}})
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", 6000, "--shuffle-ties", 7)
        freshet.wait_generation(1)
        dump, _ = self.assert_two_equalities(freshet, 6000)
        weights = oracle.live_generation(dump, freshet.state_dir).manifest["weights"]
        self.assertEqual(weights["together"], 0.5)

    def assert_forgotten_users_have_tombstones(self, freshet, state):
        self.assertTrue(state.forgotten)
        for name in state.forgotten:
            text = self.redis.command("GET", freshet.prefix + name)
            self.assertIsNotNone(text, f"no tombstone of {name}")
            tombstone = json.loads(text)
            self.assertTrue(tombstone["forgotten"])
            self.assertEqual(tombstone["items"], [])


if __name__ == "__main__":
    main()
