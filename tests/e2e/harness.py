"""A freshet under test, and what the end-to-end programs have in common.

FRESHET_BIN names the binary. A program makes one Kafka and one Redis for all its tests; each test
has topics, a state directory, a Redis prefix and a group of its own.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import services

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
# pylint: disable=wrong-import-position
import oracle
from faults.producer import Load

BINARY = os.environ.get("FRESHET_BIN", str(ROOT / "build" / "freshet"))
EVENTS_FILE = ROOT / "data" / "ifdb.tsv.zst"
PARTITIONS = 3
COMMAND_S = 120
DRAIN_S = 240  # for what takes seconds: sanitizers and two busy cores are slow
LOG_LINES_SHOWN = 60

# What an arm says of itself; all else under its name stands in place of the file's.
ARM_KEYS = ("share", "control", "shadow", "guard")

DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

# Every limit is small enough to bite on the recorded events, and none is left to a default.
SETTINGS = {
    "consumer": {"create_partitions": PARTITIONS, "instance": "e2e"},
    "events": {"max_age": "3000d"},
    # Neighbours: more than any item of the recorded events has, which the oracle needs.
    "history": {"max": 120, "seen_max": 400, "dedup_window": 64, "neighbours": 4096},
    "model": {"rank": 16, "update": "als", "sgd_rate": 0.05},
    "train": {
        "every": "30d",
        "min_events": 1_000_000,
        "first_events": 8000,
        "iterations": 3,
        "warm_iterations": 1,
        "threads": 1,
    },
    "lists": {"n": 20, "active": "0s"},
    "impression": {"max": 2},
}
EVENT_TYPES = {
    "played": {"weight": 1.0, "cap": 3, "hides": True},
    "wishlist": {"weight": 0.5, "half_life": "300d", "cap": 0.4, "hides": False},
}


def duration_ms(text):
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", text).groups()
    return int(number) * DURATION_MS[unit]


def write_yaml(value, indent=0):
    """Nested mappings of scalars and lists of scalars, as YAML."""
    lines = []
    for key, entry in value.items():
        begin = " " * indent + f"{key}:"
        if isinstance(entry, dict):
            lines += [begin, write_yaml(entry, indent + 2)] if entry else []
        else:
            lines.append(f"{begin} {json.dumps(entry)}")  # JSON's scalars are YAML's
    return "\n".join(lines)


def merged(base, over):
    out = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if nested else value
    return out


class Freshet:
    """One settings file, its state directory, and the processes that are given it."""

    def __init__(self, folder, name, bootstrap, redis_address, settings=None, event_types=None):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.state_dir = self.folder / "state"
        self.topic, self.items_topic, self.group = f"{name}-events", f"{name}-items", f"{name}-group"
        self.prefix = f"{name}:"
        self.event_types = EVENT_TYPES if event_types is None else event_types
        own = {
            "kafka": {"bootstrap.servers": bootstrap},
            "consumer": {
                "topic": self.topic, "items_topic": self.items_topic, "group": self.group,
            },
            "events": self.event_types,  # beside max_age and its like
            "state": {"dir": str(self.state_dir)},
            "redis": {"address": redis_address, "prefix": self.prefix},
            "http": {"listen": "127.0.0.1:0"},
        }
        self.settings = merged(merged(SETTINGS, own), settings or {})
        self.config = self.folder / "freshet.yaml"
        self.write(self.settings)
        self.process = None

    def write(self, settings):
        """Other settings in the file; read when it starts, or at SIGHUP."""
        self.settings = settings
        self.config.write_text(write_yaml(settings) + "\n")

    def arms(self):
        """{name: what stands under it}, all arms in the order of the settings."""
        return self.settings.get("arms") or {"default": {"control": True}}

    def settings_of(self, arm):
        """The settings as if the file had been written with the arm's overrides in it."""
        own = {key: value for key, value in self.arms().get(arm, {}).items() if key not in ARM_KEYS}
        return merged(self.settings, own)

    def rules(self, arm=None):
        """The same settings as the oracle wants them; those of an arm."""
        settings, types = self.settings_of(arm), {}
        for name, row in settings["events"].items():
            if not isinstance(row, dict):
                continue
            types[name] = oracle.EventType(
                weight=row.get("weight", 1.0),
                half_life_ms=duration_ms(row["half_life"]) if "half_life" in row else 0,
                cap=row.get("cap", 1.0),
                value=row.get("value", "none"),
                hides=row.get("hides", True),
            )
        history = settings["history"]
        events = settings["events"]
        return oracle.Rules(
            types=types,
            history_max=history["max"],
            seen_max=history["seen_max"],
            dedup_window=history["dedup_window"],
            n=settings["lists"]["n"],
            exclude_categories=tuple(settings["lists"].get("exclude_categories", ())),
            # What a partition's tables hold at the least (pairs_share of model/pairs.h).
            neighbours_max=2 * history["neighbours"] // (PARTITIONS + 1),
            max_age_ms=duration_ms(events["max_age"]),
            update=settings["model"]["update"],
            sgd_rate=settings["model"]["sgd_rate"],
            impressions_max=settings["impression"]["max"],
            impressions_want_lists=any(
                self.settings_of(name)["impression"].get("discount", 0) > 0 for name in self.arms()
            ),
        )

    # ---- the daemon

    def start(self):
        command = [BINARY, "run", "--config", self.config]
        self.process = services.spawn(command, self.log)
        self.wait(lambda s: s["state"] == "running" and s["kafka"]["up"], "running", DRAIN_S)
        return self

    def check_alive(self):
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"freshet run ended by itself: {self.process.returncode}")

    def kill(self):
        """As if the power went."""
        self.check_alive()
        services.stop(self.process, signal.SIGKILL)

    def terminate(self, deadline_s=services.STOP_S):
        """SIGTERM; the exit status."""
        self.check_alive()
        return services.stop(self.process, signal.SIGTERM, deadline_s)

    def end(self):
        """After a test, whatever came of it."""
        if self.process is not None and self.process.poll() is None:
            services.stop(self.process, signal.SIGKILL)

    # ---- subcommands

    def run(self, *arguments, stdin=None, timeout_s=COMMAND_S):
        """A subcommand with --config: what came of it, as text."""
        command = [BINARY, *map(str, arguments), "--config", str(self.config)]
        return subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout_s, check=False, text=True
        )

    def ask(self, *arguments, timeout_s=COMMAND_S):
        """A subcommand that must succeed: its stdout."""
        done = self.run(*arguments, timeout_s=timeout_s)
        if done.returncode:
            raise AssertionError(f"{arguments}: exit {done.returncode}: {done.stderr[-3000:]}")
        return done.stdout

    def spawn(self, *arguments):
        """A subcommand beside the test."""
        command = [BINARY, *map(str, arguments), "--config", str(self.config)]
        return services.spawn(command, self.folder / "commands.log")

    def status(self):
        """The running daemon's status, or None while it does not answer."""
        done = self.run("status", "--json")
        # Not in order is also an answer; only its exit status tells the difference.
        return json.loads(done.stdout) if done.stdout.strip() else None

    def wait(self, question, what, deadline_s=DRAIN_S):
        """Until `question` of the status is true; the status then."""

        def ask():
            self.check_alive()
            status = self.status()
            return status if status is not None and question(status) else None

        return services.wait_until(ask, what, deadline_s)

    def wait_applied(self, records):
        return self.wait(lambda s: s["records"]["total"] >= records, f"{records} records consumed")

    def wait_drained(self, records):
        """All records consumed and every list acknowledged."""
        return self.wait(
            lambda s: s["records"]["total"] == records
            and s["redis"]["up"]
            and s["owed"] == 0
            and s["queued"] == 0
            and not s["trainer"]["running"],
            f"{records} records consumed, all lists sent",
        )

    def wait_generation(self, swaps=1):
        return self.wait(
            lambda s: s["generation"]["swaps"] >= swaps, f"{swaps} generations swapped in"
        )

    def dump(self):
        return oracle.read_dump(self.ask("dump", "--all"))

    def last_words(self):
        words = []
        for path in (self.log, self.folder / "commands.log"):
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
                words += [f"---- {path.name} of {self.folder.name}", *lines]
        return "\n".join(words)


class EndToEnd(unittest.TestCase):
    """A test with a real Kafka, a real Redis and a freshet."""

    needs_kafka = needs_redis = True
    kafka_properties = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="freshet-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        if cls.needs_redis:
            cls.redis = services.Redis(cls.folder)
            cls.addClassCleanup(cls.redis.stop)
            cls.redis.start()
        if cls.needs_kafka:
            cls.kafka = services.Kafka(cls.folder, **cls.kafka_properties)
            cls.addClassCleanup(cls.kafka.stop)
            cls.kafka.start()

    @classmethod
    def start_broker(cls, name, *daemons):
        """An embedded broker with the topics of these; the process and its address."""
        topics = ",".join(f"{d}-events,{d}-items,{d}-events.dead" for d in daemons)
        command = [BINARY, "broker", "--topics", topics, "--partitions", str(PARTITIONS)]
        log = pathlib.Path(cls.folder) / f"{name}.log"
        broker = services.spawn(command, log, stdout=subprocess.PIPE)
        cls.addClassCleanup(broker.stdout.close)
        cls.addClassCleanup(services.stop, broker)
        return broker, broker.stdout.readline().decode().strip()

    def freshet(self, name, settings=None, **options):
        """A freshet with topics of its own; ended with the test, and heard if that failed."""
        freshet = Freshet(
            self.folder, name, self.kafka.bootstrap, self.redis.address, settings, **options
        )
        self.kafka.create_topic(freshet.topic, PARTITIONS)
        self.kafka.create_topic(freshet.items_topic, 1, **{"cleanup.policy": "compact"})
        self.freshets.append(freshet)
        self.addCleanup(freshet.end)
        return freshet

    def run(self, result=None):
        self.freshets = []
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for freshet in self.freshets:
                print(freshet.last_words(), file=sys.stderr)

    # ---- the two equalities

    def assert_nothing_wrong(self, wrong):
        shown = "\n".join(wrong[:20])
        self.assertFalse(wrong, f"{len(wrong)} differences:\n{shown}")

    def assert_state_is_fold(self, freshet, dump):
        """The state is the fold of what is in Kafka."""
        records = self.kafka.consume(freshet.topic)
        items = self.kafka.consume(freshet.items_topic)
        state = oracle.fold(records, freshet.rules(), item_records=items)
        self.assert_nothing_wrong(oracle.dump_differences(dump, state, freshet.topic))

    def assert_lists_are_recomputed(self, freshet, dump, arm_of=lambda name: None, series=None):
        """Every user's list in Redis is the one that follows from the dump, the user's arm and that
        arm's generation.

        arm_of: a user's arm, or None where there are none. series: {arm: key of its generations}."""
        instance = oracle.Instance(
            freshet.folder.name, dump, None,
            lambda key: oracle.live_generation(dump, freshet.state_dir, key),
        )
        recomputed = oracle.Lists(
            instance, dump, freshet.topic, freshet.rules, arm_of, series, cause="forced"
        )
        names, wrong = sorted(dump.users), []
        keys = [freshet.prefix + oracle.list_key(name) for name in names]
        for name, text in zip(names, self.redis.get_all(keys)):
            for sentences in recomputed.differences(name, text).values():
                wrong += sentences
        self.assert_nothing_wrong(wrong)

    def ledger(self, freshet, seed, **options):
        """A ledger whose records the freshet can read."""
        return oracle.Ledger.of(freshet, seed, PARTITIONS, **options)

    def load(self, ledger, records, rate=None):
        """The ledger's next records, on their way; `rate` a second, or at once."""
        load = Load(self.kafka.bootstrap, ledger, records, rate)
        self.addCleanup(load.stop)
        return load

    def assert_nothing_lost(self, freshet, ledger):
        """Drains, publishes all, ends the daemon; the Report, which found nothing."""
        report = oracle.check(freshet, ledger, self.kafka, self.redis)
        print(report, flush=True)
        report.raise_if_any()
        return report

    def assert_two_equalities(self, freshet, records):
        """Drains, publishes all, ends the daemon, and compares state and lists with the oracle: for
        streams that have no ledger."""
        freshet.wait_drained(records)
        freshet.ask("publish", "--all")
        self.assertEqual(freshet.terminate(), 0, "exit status after SIGTERM")
        dump = freshet.dump()
        self.assert_state_is_fold(freshet, dump)
        self.assert_lists_are_recomputed(freshet, dump)


def main():
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"FRESHET_BIN does not name a program: {BINARY}")
    unittest.main(verbosity=2)
