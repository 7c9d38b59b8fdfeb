#!/usr/bin/env python3
"""kill -9 at random moments of the stream: what comes out is as if nothing had happened."""

import os
import random
import time

from harness import EndToEnd, main

SENT = 20_000
RATE = 2000
KILLS = 5


class KillTest(EndToEnd):
    def test_killed_at_random_points_it_loses_nothing_and_repeats_nothing(self):
        seed = int(os.environ.get("FRESHET_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"FRESHET_TEST_SEED={seed}", flush=True)
        points = sorted(random.Random(seed).sample(range(200, SENT), KILLS))
        freshet = self.freshet("kill", {"train": {"first_events": 4000}})
        freshet.start()
        ledger = self.ledger(freshet, seed)
        load = self.load(ledger, SENT, RATE)
        lost = 0
        for point in points:
            learned = freshet.wait_applied(point)["records"]["total"]
            freshet.kill()
            lost += max(0, learned - self.kept(freshet))
            freshet.start()
        load.join()
        self.assertGreater(lost, 0, "no kill came between a batch and its commit")
        freshet.wait_generation(1)
        self.assert_nothing_lost(freshet, ledger)

    def kept(self, freshet):
        """Records that the state has, by its own count."""
        lines = freshet.dump().partitions.values()
        return sum(sum(line["counters"].values()) for line in lines)


if __name__ == "__main__":
    main()
