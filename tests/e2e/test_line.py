#!/usr/bin/env python3
"""The whole line without a fault: what is kept, published and refused is what the ledger says."""

import json

from harness import EndToEnd, main, oracle
from oracle.bad import BAD, HUGE
from oracle.sender import send

SENT = 20_000
AFTER_SWAP = 5000
RATE = 2500


class LineTest(EndToEnd):
    kafka_properties = {"message_max_bytes": 20_000_000, "replica_fetch_max_bytes": 20_000_000}

    def test_nothing_is_lost_nothing_doubled_and_every_list_is_right(self):
        freshet = self.freshet("line", {"train": {"first_events": 4000}})
        freshet.start()
        ledger = self.ledger(freshet, 1)
        load = self.load(ledger, None, RATE)
        swapped = freshet.wait_generation(1)["records"]["total"]
        freshet.wait_applied(max(SENT, swapped + AFTER_SWAP))
        load.finish()
        send(self.kafka.bootstrap, ledger.one_of_each_bad({**BAD, **HUGE}))
        freshet.ask("train")
        freshet.wait(lambda s: s["generation"]["newest"] >= 2, "a second generation")

        report = self.assert_nothing_lost(freshet, ledger)

        self.assertEqual(report.redelivered, 0, "nothing crashed, so each dead letter is there once")
        for counter in oracle.COUNTERS:
            if counter != "item_records":
                self.assertGreater(report.counted[counter], 0, f"the stream had none: {counter}")
        self.assertGreaterEqual(freshet.dump().state["swap"], 1)
        self.assert_forgotten_users_have_tombstones(freshet, ledger)

    def test_lists_by_gradient_steps_and_of_a_given_together_follow_too(self):
        model = {"update": "sgd", "objective": "hu", "together_weight": 0.5}
        freshet = self.freshet("steps", {"model": model, "train": {"first_events": 2000}})
        freshet.start()
        ledger = self.ledger(freshet, 2, users=600, items=200)
        self.load(ledger, 6000).join()
        freshet.wait_generation(1)
        self.assert_nothing_lost(freshet, ledger)
        dump = freshet.dump()
        weights = oracle.live_generation(dump, freshet.state_dir).manifest["weights"]
        self.assertEqual(weights["together"], 0.5)

    def assert_forgotten_users_have_tombstones(self, freshet, ledger):
        """The checker lets them be missing, for a Redis that came back empty."""
        gone = [person.name for person in ledger.people if person.gone]
        self.assertGreater(len(gone), 10)
        for name in gone:
            text = self.redis.command("GET", freshet.prefix + oracle.list_key(name))
            self.assertIsNotNone(text, f"no tombstone of {name}")
            tombstone = json.loads(text)
            self.assertTrue(tombstone["forgotten"])
            self.assertEqual(tombstone["items"], [])


if __name__ == "__main__":
    main()
