#!/usr/bin/env python3
"""Redis killed in mid-stream and back empty: learning goes on, and every list comes back."""

from harness import EVENTS_FILE, EndToEnd, main

REPLAYED = 16_000
RATE = 2000
GONE_AT, BACK_AT = 6000, 10_000


class RedisLossTest(EndToEnd):
    def test_lists_come_back_after_redis_lost_them(self):
        freshet = self.freshet("loss", {"train": {"first_events": 3000}})
        freshet.start()
        replay = freshet.spawn("replay", EVENTS_FILE, "--limit", REPLAYED, "--rate", RATE)
        freshet.wait_generation(1)
        freshet.wait_applied(GONE_AT)
        self.redis.kill()
        down = freshet.wait(
            lambda s: s["records"]["total"] >= BACK_AT and not s["redis"]["up"],
            "learning goes on without Redis",
        )
        self.assertGreater(down["owed"], 0, "those who acted meanwhile are owed a list")
        self.assertEqual(freshet.run("status").returncode, 75, "health while Redis is away")
        self.redis.start()
        self.assertEqual(replay.wait(), 0)
        freshet.wait_drained(REPLAYED)
        self.assert_everybody_has_a_list(freshet)
        self.assert_two_equalities(freshet, REPLAYED)

    def assert_everybody_has_a_list(self, freshet):
        """Also those who did nothing since: their lists were in the Redis that is gone."""
        names = sorted({record.key.decode() for record in self.kafka.consume(freshet.topic)})
        lists = self.redis.get_all([freshet.prefix + name for name in names])
        missing = [name for name, text in zip(names, lists) if text is None]
        self.assertFalse(missing, f"{len(missing)} of {len(names)} have no list")


if __name__ == "__main__":
    main()
