#!/usr/bin/env python3
"""Redis killed in mid-stream and back empty: learning goes on, and every list comes back."""

from harness import EndToEnd, main, oracle

RATE = 2000
GONE_AT, GONE_FOR = 6000, 4000  # events


class RedisLossTest(EndToEnd):
    def test_lists_come_back_after_redis_lost_them(self):
        freshet = self.freshet("loss", {"train": {"first_events": 3000}})
        freshet.start()
        ledger = self.ledger(freshet, 3)
        load = self.load(ledger, None, RATE)
        freshet.wait_generation(1)
        gone_at = freshet.wait_applied(GONE_AT)["records"]["total"]
        self.redis.kill()
        down = freshet.wait(
            lambda s: s["records"]["total"] >= gone_at + GONE_FOR and not s["redis"]["up"],
            "learning goes on without Redis",
        )
        self.assertGreater(down["owed"], 0, "those who acted meanwhile are owed a list")
        self.assertEqual(freshet.run("status").returncode, 75, "health while Redis is away")
        self.redis.start()
        load.finish()
        freshet.wait_drained(load.produced)
        self.assert_everybody_has_a_list(freshet)
        self.assert_nothing_lost(freshet, ledger)

    def assert_everybody_has_a_list(self, freshet):
        """Also those who did nothing since: their lists were in the Redis that is gone."""
        names = sorted(freshet.dump().users)
        lists = self.redis.get_all([freshet.prefix + oracle.list_key(name) for name in names])
        missing = [name for name, text in zip(names, lists) if text is None]
        self.assertFalse(missing, f"{len(missing)} of {len(names)} have no list")


if __name__ == "__main__":
    main()
