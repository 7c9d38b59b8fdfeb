"""Row 12: half of what it could do, for long: nothing grows.

`scripts/faults.sh --soak MINUTES [--rate N]`. A line each minute, and one at the end. The first ten
minutes fill what is bounded (histories, co-occurrence, caches, the state's pages in memory). From
then on the resident memory may grow by less than 1 MiB an hour, descriptors and threads not at all.
The topic keeps a few hundred megabytes, so the log is not there to be folded at the end: what was
applied is compared with the ledger's counts, and every list with what follows from the state.
"""

import dataclasses
import json
import os
import pathlib
import random
import statistics
import time
import urllib.request

import harness
import oracle
import services

SETTLE_S = 600
JUDGED_S = 600  # after that, at the least
GROWTH_MIB_PER_HOUR = 1.0
CALIBRATION = 60_000
SCRAPE_S = 10
# Few enough that each user's history and each item's neighbours are full within ten minutes.
USERS, ITEMS = 1000, 300
RECENT = 40  # fewer than history.dedup_window, whosever they are
SEGMENT = 8 << 20
KEPT = 64 << 20  # of each partition

SETTINGS = {
    "train": {"every": "2m", "min_events": 1000, "first_events": 5000, "iterations": 3, "keep": 3},
    "state": {"commit": "1s", "map": "4GiB"},
    "lists": {"n": 20},
    "history": {"max": 120, "seen_max": 150, "neighbours": 64},
    "kafka": {"queued.max.messages.kbytes": "2048", "fetch.message.max.bytes": "262144"},
}
KAFKA = {"log_retention_check_interval_ms": 10_000}


class Stream:
    """Events of some users on some items, one in ten of them sent again with its id. It keeps counts
    where a Ledger keeps every record, which is too much for hours."""

    def __init__(self, seed, topic):
        self.draw, self.topic = random.Random(seed), topic
        self.unique = 0
        self.recent = []

    def _event(self, now_ms):
        self.unique += 1
        return {
            "id": f"e{self.unique}",
            "user": f"u{int(USERS * self.draw.random() ** 2)}",
            "item": f"i{int(ITEMS * self.draw.random() ** 2)}",
            "type": "played" if self.draw.random() < 0.8 else "wishlist",
            "ts": now_ms - self.draw.randrange(5000),
        }

    def _next(self, now_ms):
        if self.recent and self.draw.random() < 0.1:
            event = self.draw.choice(self.recent)
        else:
            event = self._event(now_ms)
            self.recent = [*self.recent[-RECENT:], event]
        value = json.dumps(event).encode()
        return oracle.Produced(self.topic, event["user"].encode(), value, now_ms)

    def next(self, count):
        now_ms = int(time.time() * 1000)
        return [self._next(now_ms) for _ in range(count)]


@dataclasses.dataclass
class Sample:
    """What the process takes: at_s since the soak began; sizes in KiB."""

    at_s: float
    rss: int
    anonymous: int
    descriptors: int
    threads: int


def look_at(pid, at_s):
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        fields[key] = value.split()
    return Sample(
        at_s, int(fields["VmRSS"][0]), int(fields["RssAnon"][0]),
        len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"][0]),
    )


def growth(samples, of, middle):
    """(the figure in the first third, in the last, and how much that is an hour)."""
    begin, span = samples[0].at_s, samples[-1].at_s - samples[0].at_s
    first = [of(s) for s in samples if s.at_s <= begin + span / 3]
    last = [of(s) for s in samples if s.at_s >= begin + span * 2 / 3]
    before, after = middle(first), middle(last)
    return before, after, (after - before) / (span * 2 / 3 / 3600)


def capacity(freshet, ledger, world):
    """Events a second that it learns and answers, with all that runs beside it."""
    began = time.monotonic()
    load = world.start_load(freshet, ledger, CALIBRATION)
    load.join()
    freshet.wait_drained(CALIBRATION)
    return CALIBRATION / (time.monotonic() - began)


class Soak:
    """A freshet under load, looked at each second."""

    def __init__(self, world, seed, minutes, rate):
        kafka = services.Kafka(world.new_folder("soak"), **KAFKA).start()
        world.add_cleanup(kafka.stop)
        self.freshet = world.freshet("soak", SETTINGS, kafka=kafka, topic_config={
            "retention.bytes": str(KEPT), "segment.bytes": str(SEGMENT), "retention.ms": "-1",
        })
        self.world, self.minutes, self.rate = world, minutes, rate
        self.ledger = Stream(seed, self.freshet.topic)
        self.samples, self.http = [], None

    def scrape(self):
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=30) as answer:
            answer.read()

    def tell(self, minute, produced):
        status, now = self.freshet.status(), self.samples[-1]
        latency = status["latency"]["event_to_list_ms"]
        print(
            f"soak: minute {minute}: {produced} events, lag {status['kafka']['lag']}, "
            f"p99 {latency['p99']:.0f} ms, generation {status['generation']['number']}, "
            f"resident {now.rss / 1024:.2f} MiB (anonymous {now.anonymous / 1024:.2f}), "
            f"descriptors {now.descriptors}, threads {now.threads}",
            flush=True,
        )

    def watch(self, load):
        pid, began = self.freshet.process.pid, time.monotonic()
        next_minute, next_scrape = 1, 0
        while (at_s := time.monotonic() - began) < self.minutes * 60:
            self.freshet.check_alive()
            self.samples.append(look_at(pid, at_s))
            if at_s >= next_minute * 60:
                self.tell(next_minute, CALIBRATION + load.produced)
                next_minute += 1
            if at_s >= next_scrape:
                self.scrape()
                next_scrape += SCRAPE_S
            time.sleep(1)  # the pace of looking: nothing is waited for
        self.tell(self.minutes, CALIBRATION + load.produced)

    def run(self):
        self.freshet.start()
        self.http = self.freshet.status()["http"]
        able = capacity(self.freshet, self.ledger, self.world)
        self.rate = self.rate or able / 2
        print(f"soak: able to {able:.0f} events a second; {self.rate:.0f} for {self.minutes} minutes",
              flush=True)
        load = self.world.start_load(self.freshet, self.ledger, None, self.rate)
        self.watch(load)
        load.finish()
        return CALIBRATION + load.produced

    def judge_growth(self):
        """Sentences; the first says what was seen, the rest what is wrong with it."""
        settled = [s for s in self.samples if s.at_s >= SETTLE_S]
        if not settled or settled[-1].at_s - settled[0].at_s < JUDGED_S - 5:
            least = (SETTLE_S + JUDGED_S) // 60
            return [f"growth is not judged in less than {least} minutes"]
        rss = growth(settled, lambda s: s.rss / 1024, statistics.median)
        anonymous = growth(settled, lambda s: s.anonymous / 1024, statistics.median)
        # What comes and goes (a trainer's pipe, who asks) is not there at the quietest moment.
        descriptors = growth(settled, lambda s: s.descriptors, min)
        threads = growth(settled, lambda s: s.threads, min)
        found = [
            f"after ten minutes resident {rss[0]:.2f} to {rss[1]:.2f} MiB ({rss[2]:+.2f} MiB/h, "
            f"anonymous {anonymous[2]:+.2f}), descriptors {descriptors[0]} to {descriptors[1]}, "
            f"threads {threads[0]} to {threads[1]}"
        ]
        if rss[2] >= GROWTH_MIB_PER_HOUR:
            found.append(f"resident memory grows by {rss[2]:.2f} MiB an hour")
        for what, (before, after, _) in (("descriptors", descriptors), ("threads", threads)):
            if after > before:
                found.append(f"{what} grow from {before} to {after}")
        return found

    def judge_state(self, produced):
        """(lost, doubled, sentences): counts against the ledger's, lists against the state."""
        judge = harness.EndToEnd()
        judge.redis = self.freshet.redis_server
        records = self.freshet.wait_drained(produced)["records"]
        self.freshet.ask("publish", "--all")
        assert self.freshet.terminate() == 0, "exit status after SIGTERM"
        applied, unique = records["applied"], self.ledger.unique
        try:
            judge.assert_lists_are_recomputed(self.freshet, self.freshet.dump())
            wrong = []
        except AssertionError as error:
            wrong = [str(error)]
        return max(0, unique - applied), max(0, applied - unique), wrong


def soak(world, seed, minutes, rate=None):
    """True if nothing grew and nothing is wrong."""
    world.case = "soak"
    one = Soak(world, seed, minutes, rate)
    try:
        produced = one.run()
        seen, *grown = one.judge_growth()
        lost, doubled, wrong = one.judge_state(produced)
    except Exception:
        print(world.last_words())
        raise
    finally:
        world.end_case()
    for sentence in [*grown, *wrong]:
        print(f"soak: {sentence}")
    print(
        f"soak: {minutes} minutes, {produced} events, {seen}; "
        f"lost {lost}, doubled {doubled}, wrong {len(wrong)}"
    )
    return not (grown or lost or doubled or wrong)


CASES = []
