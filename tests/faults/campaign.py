#!/usr/bin/env python3
"""The fault campaign: each case does something bad to a freshet under load, and the oracle looks
afterwards whether anything was lost, counted twice, or is wrong.

    campaign.py [--short] [--row N]... [--case NAME]... [--seed N] [--seeds COUNT] [--list]
    campaign.py --soak MINUTES [--rate N]

FRESHET_BIN names the binary; it has failpoints (base/failpoint.h). A row is a line of
docs/OPERATING.md, "The fault campaign"; row_*.py beside this file export CASES, a list of Case.
A case's seed is made of the campaign's and the case's name, so `--case NAME --seed N` repeats it.
The last line is `faults: ROWS rows, SEEDS seeds, EVENTS events, lost 0, doubled 0, wrong 0`.
"""

import argparse
import collections
import dataclasses
import importlib
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent)]

# pylint: disable=wrong-import-position
import harness
import oracle
import services
from producer import Load

# Small enough that generations come and go, and limits bite, within some thousand events.
SETTINGS = {
    "train": {"every": "3s", "min_events": 500, "first_events": 1000, "iterations": 2},
    "state": {"commit": "200ms"},
    "daemon": {"drain": "10s"},
    # A member that was killed must not be waited for.
    "kafka": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"},
}
USERS, ITEMS = 400, 300  # of a load, unless it says otherwise


@dataclasses.dataclass
class Case:
    """One bad thing: run(world, seed). `short`: also in the short campaign."""

    row: int
    name: str
    run: object
    short: bool = False


class Freshet(harness.Freshet):
    """A daemon that may be started with failpoints armed, other variables, or under a command."""

    def start(self, failpoints=None, env=None, under=(), wait=True):
        """failpoints: as in base/failpoint.h. under: a command that runs it, as ["prlimit", ...].
        With wait=False it may still be on its way, or dead, when this returns."""
        variables = {**os.environ, **(env or {})}
        if failpoints:
            variables["FRESHET_FAILPOINTS"] = failpoints
        command = [*under, harness.BINARY, "run", "--config", self.config]
        self.process = services.spawn(command, self.log, env=variables)
        if wait:
            self.wait_running()
        return self

    def wait_running(self):
        self.wait(
            lambda s: s["state"] == "running" and s["kafka"]["up"], "running", harness.DRAIN_S
        )

    def is_dead(self):
        return self.process is None or self.process.poll() is not None

    def wait_death(self, what, deadline_s=harness.DRAIN_S):
        """It ends by itself; its exit status (negative: the signal)."""
        services.wait_until(self.is_dead, f"{self.folder.name}: dead: {what}", deadline_s, 0.01)
        return self.process.returncode

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_has(self, text, count=1):
        return self.log_text().count(text) >= count


class World:
    """What the cases share: one Kafka, one Redis, started when first used, and the totals.

    A case that stops or breaks them starts its own ones, with services in world.folder; or mends
    them before it ends. Whatever it gets from freshet() and load() is ended for it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.totals = collections.Counter()
        self.numbers = collections.Counter()
        self._kafka = self._redis = None
        self.freshets, self.loads, self.cleanups = [], [], []
        self.case = "case"

    @property
    def kafka(self):
        if self._kafka is None:
            self._kafka = services.Kafka(self.new_folder("kafka")).start()
        return self._kafka

    @property
    def redis(self):
        if self._redis is None:
            self._redis = services.Redis(self.new_folder("redis")).start()
        return self._redis

    def new_folder(self, name):
        """A fresh folder of the campaign's; gone with it."""
        self.numbers[name] += 1
        made = self.folder / f"{name}-{self.numbers[name]}"
        made.mkdir()
        return made

    def add_cleanup(self, function, *arguments):
        """Called after the case, whatever came of it; the last one first."""
        self.cleanups.append((function, arguments))

    def freshet(
        self, name=None, settings=None, kafka=None, redis=None, partitions=None, topic_config=None,
        **options,
    ):
        """A freshet with topics, state, Redis prefix and group of its own; not started."""
        kafka, redis = kafka or self.kafka, redis or self.redis
        name = name or self.case
        self.numbers[name] += 1
        freshet = Freshet(
            self.folder, f"{name}-{self.numbers[name]}", kafka.bootstrap, redis.address,
            harness.merged(SETTINGS, settings or {}), **options,
        )
        freshet.kafka, freshet.redis_server = kafka, redis
        freshet.partitions = partitions or harness.PARTITIONS
        # A ledger's own time may be long ago.
        kept = {"retention.ms": "-1", **(topic_config or {})}
        kafka.create_topic(freshet.topic, freshet.partitions, **kept)
        kafka.create_topic(freshet.items_topic, 1, **{"cleanup.policy": "compact"})
        self.freshets.append(freshet)
        return freshet

    def load(self, freshet, seed, events, rate=None, live=False, **options):
        """A ledger's events on their way into the freshet's topics; rate: a second, None: at once.
        live: at the time it is, else at a time of the ledger's own. Options go to the ledger."""
        if live:
            options["clock"] = lambda: int(time.time() * 1000)
        options = {"users": USERS, "items": ITEMS, **options}
        ledger = oracle.Ledger.of(freshet, seed, freshet.partitions, **options)
        return self.start_load(freshet, ledger, events, rate)

    def start_load(self, freshet, ledger, events, rate=None):
        """The same of a ledger that has begun."""
        load = Load(freshet.kafka.bootstrap, ledger, events, rate)
        self.loads.append(load)
        return load

    def check(self, freshet, load, **options):
        """Waits for the load and for freshet to be done with it; then the oracle (its check takes
        the options). Ends freshet. Raises if anything is lost, doubled or wrong."""
        load.join()
        if freshet.is_dead():
            freshet.start()
        report = oracle.check(
            freshet, load.ledger, freshet.kafka, freshet.redis_server, **options
        )
        for what in ("events", "lost", "doubled", "wrong"):
            self.totals[what] += getattr(report, what)
        if not report.ok:
            raise Found(str(report))
        return report

    def last_words(self):
        return "\n".join(freshet.last_words() for freshet in self.freshets)

    def end_case(self):
        """Also after a case that failed: nothing of it goes on."""
        for load in self.loads:
            load.stop()
        while self.cleanups:
            function, arguments = self.cleanups.pop()
            function(*arguments)
        for freshet in self.freshets:
            freshet.end()
            shutil.rmtree(freshet.state_dir, ignore_errors=True)
        self.freshets, self.loads = [], []
        if self._kafka and self._kafka.process.poll() is not None:
            self._kafka = None  # the next case gets another
        if self._redis and self._redis.process.poll() is not None:
            self._redis = None

    def end(self):
        for server in (self._redis, self._kafka):
            if server:
                server.stop()


class Found(AssertionError):
    """The oracle found something; it is in the totals."""


def collect():
    cases = []
    for path in sorted(HERE.glob("row_*.py")):
        cases += importlib.import_module(path.stem).CASES
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases of one name"
    return sorted(cases, key=lambda case: case.row)


def seed_of(campaign_seed, case):
    return random.Random(f"{campaign_seed}/{case.name}").randrange(1_000_000)


def run_case(world, case, seed):
    """True if nothing was found."""
    world.case = case.name
    before, began = world.totals["events"], time.monotonic()
    try:
        case.run(world, seed)
        said = "ok"
    except Exception as error:  # pylint: disable=broad-except
        said = "FAILED"
        world.totals["wrong"] += not isinstance(error, Found)
        print(world.last_words())
        traceback.print_exc(file=sys.stdout)
    finally:
        world.end_case()
    events, seconds = world.totals["events"] - before, time.monotonic() - began
    print(
        f"row {case.row} {case.name} seed {seed}: {said} ({events} events, {seconds:.1f} s)",
        flush=True,
    )
    return said == "ok"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--short", action="store_true", help="the few cases that tests run")
    parser.add_argument("--row", type=int, action="append", help="only this row")
    parser.add_argument("--case", action="append", help="only this case")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--seeds", type=int, default=1, help="all of it so often")
    parser.add_argument("--list", action="store_true", help="say which cases there are")
    parser.add_argument("--soak", type=int, metavar="MINUTES", help="row 12 alone, for so long")
    parser.add_argument("--rate", type=float, help="of the soak: events a second")
    parser.add_argument("--keep", action="store_true", help="leave logs and states in place")
    return parser.parse_args()


def chosen(cases, options):
    return [
        case
        for case in cases
        if (case.short or not options.short)
        and (not options.row or case.row in options.row)
        and (not options.case or case.name in options.case)
    ]


def soak(options):
    world = World(tempfile.mkdtemp(prefix="freshet-faults-"))
    print(f"faults: --seed {options.seed}, a soak", flush=True)
    try:
        ok = importlib.import_module("row_soak").soak(
            world, options.seed, options.soak, options.rate
        )
    finally:
        world.end()
        if not options.keep:
            shutil.rmtree(world.folder, ignore_errors=True)
    return 0 if ok else 1


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and so tidies up
    if options.soak:
        return soak(options)
    cases = chosen(collect(), options)
    if options.list:
        for case in cases:
            print(f"row {case.row} {case.name}{' (short)' if case.short else ''}")
        return 0
    if not cases:
        print("faults: there is no such case")
        return 64
    folder = tempfile.mkdtemp(prefix="freshet-faults-")
    world, failed, seeds = World(folder), [], set()
    try:
        for seed in range(options.seed, options.seed + options.seeds):
            print(f"faults: --seed {seed}, {len(cases)} cases", flush=True)
            for case in cases:
                own = seed_of(seed, case)
                seeds.add(own)
                if not run_case(world, case, own):
                    failed.append(f"{case.name} (--seed {seed})")
    finally:
        world.end()
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for name in failed:
        print(f"faults: failed: {name}")
    totals = world.totals
    print(
        f"faults: {len({case.row for case in cases})} rows, {len(seeds)} seeds, "
        f"{totals['events']} events, lost {totals['lost']}, doubled {totals['doubled']}, "
        f"wrong {totals['wrong']}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    # What row_*.py import as `campaign` is this module, not a second copy of it.
    sys.modules["campaign"] = sys.modules["__main__"]
    sys.exit(main())
