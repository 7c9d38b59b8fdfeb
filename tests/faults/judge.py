"""The ledger and the oracle as the campaign uses them."""

import collections
import dataclasses
import json
import random
import time

import harness

Produced = collections.namedtuple("Produced", "topic key value headers timestamp_ms")


@dataclasses.dataclass
class Report:
    """What the oracle found."""

    events: int
    lost: int
    doubled: int
    wrong: int
    findings: list


class Ledger:
    """Events of some users on some items, one in ten of them sent again with the same id.

    live: at the time it is; else some milliseconds after one another, from an hour ago."""

    def __init__(self, seed, topic, users=400, items=300, live=False):
        self.random, self.topic = random.Random(seed), topic
        self.users, self.items, self.live = users, items, live
        self.ts = int(time.time() * 1000) - 3_600_000
        self.count = 0
        self.sent = []

    def _event(self):
        self.count += 1
        step_ms = self.random.randrange(100)
        self.ts = int(time.time() * 1000) if self.live else self.ts + step_ms
        user = f"u{int(self.users * self.random.random() ** 2)}"
        return {
            "id": f"e{self.count}", "user": user,
            "item": f"i{int(self.items * self.random.random() ** 2)}",
            "type": "played" if self.random.random() < 0.8 else "wishlist",
            "ts": self.ts - self.random.randrange(5000),
        }

    def next(self, count):
        records = []
        for _ in range(count):
            if self.sent and self.random.random() < 0.1:
                event = self.random.choice(self.sent[-50:])
            else:
                event = self._event()
                self.sent.append(event)
            records.append(
                Produced(self.topic, event["user"].encode(), json.dumps(event).encode(), (), self.ts)
            )
        self.sent = self.sent[-50:]
        return records


def make_ledger(freshet, seed, **options):
    return Ledger(seed, freshet.topic, **options)


def check(freshet, ledger, kafka, redis):
    """Drains, publishes all, ends the daemon and compares: the state with the fold of the log, the
    lists with the state."""
    judge = harness.EndToEnd()
    judge.kafka, judge.redis = kafka, redis
    records = len(kafka.consume(freshet.topic))
    try:
        judge.assert_two_equalities(freshet, records)
    except AssertionError as error:
        return Report(records, 0, 0, 1, [str(error)])
    return Report(records, 0, 0, 0, [])
