#!/usr/bin/env python3
"""SIGTERM in mid-stream: it drains and exits 0 in time; the next run begins where it ended."""

import time

from harness import PARTITIONS, EndToEnd, main
from oracle.log import look

SENT = 20_000
STOPPED_AT = 5000
DRAIN_S = 10


def owed_users(dump):
    """Users whose last event is not answered by a list that Redis acknowledged."""
    return [
        name
        for name, user in dump.users.items()
        if user["wanted"]["offset"] > user["acked"]["offset"]
    ]


class RestartTest(EndToEnd):
    def test_a_restart_replays_nothing(self):
        freshet = self.freshet("restart", {
            "train": {"first_events": 3000},
            "daemon": {"drain": f"{DRAIN_S}s"},
            "lists": {"batch_users": 1},  # slow, so that the signal comes in mid-stream
        })
        freshet.start()
        # Unpaced: there is a backlog of events and of lists when the signal comes.
        ledger = self.ledger(freshet, 4)
        load = self.load(ledger, SENT)
        freshet.wait_applied(STOPPED_AT)

        began = time.monotonic()
        self.assertEqual(freshet.terminate(), 0)
        # The drain has its deadline; leaving the group and closing have five seconds more.
        self.assertLess(time.monotonic() - began, DRAIN_S + 5)

        first = freshet.dump()
        lines = {p: line for (topic, p), line in first.partitions.items() if topic == freshet.topic}
        stored = {p: line["next_offset"] for p, line in lines.items()}
        taken = sum(sum(line["counters"].values()) for line in first.partitions.values())
        self.assertGreaterEqual(taken, STOPPED_AT)
        self.assertLess(taken, SENT, "it was stopped in mid-stream")
        self.assertEqual(taken, sum(line["next_offset"] for line in first.partitions.values()))
        self.assertFalse(owed_users(first), "whoever's event was learned has a list")
        load.join()
        self.delete_what_was_learned(freshet, ledger, stored)

        freshet.start()
        freshet.wait_generation(1)
        second = freshet.wait_drained(SENT)
        self.assertEqual(second["records"]["this_run"], SENT - taken, "taken by the second run")
        self.assert_nothing_lost(freshet, ledger)

    def test_without_time_to_drain_lists_stay_owed_and_come_after_the_restart(self):
        freshet = self.freshet("hasty", {
            "train": {"first_events": 3000},
            "daemon": {"drain": "0s"},
            "lists": {"batch_users": 1},
        })
        freshet.start()
        ledger = self.ledger(freshet, 5)
        load = self.load(ledger, SENT)
        freshet.wait_applied(STOPPED_AT)
        self.assertEqual(freshet.terminate(), 0)
        self.assertTrue(owed_users(freshet.dump()), "lists were under way when the signal came")
        freshet.start()
        load.join()
        freshet.wait_drained(SENT)
        self.assertFalse(owed_users(freshet.dump()))
        freshet.wait_generation(1)
        self.assert_nothing_lost(freshet, ledger)

    def delete_what_was_learned(self, freshet, ledger, stored):
        """Nobody can replay what is gone from the log. The ledger remembers where it was."""
        look(ledger, self.kafka)
        with self.kafka.wire() as wire:
            committed = wire.committed(freshet.group, freshet.topic, PARTITIONS)
            settled = {p: offset for p, offset in committed.items() if offset >= 0}
            self.assertEqual(settled, stored, "the group's offsets are the state's")
            for partition, offset in stored.items():
                wire.delete_records(freshet.topic, partition, offset)


if __name__ == "__main__":
    main()
