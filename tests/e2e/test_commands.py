#!/usr/bin/env python3
"""The subcommands, each as a person at a terminal meets it."""

import json
import pathlib
import re
import subprocess

import services
from harness import BINARY, COMMAND_S, EVENTS_FILE, EndToEnd, Freshet, main

REPLAYED = 6000
WIDE_CORES = ("Haswell", "Zen", "Excavator", "SkylakeX", "Cooperlake", "SapphireRapids")
BAD_SETTINGS = """\
kafka:
  bootstrap.servers: "127.0.0.1:1"
consumer:
  topics: events
lists:
  n: 0
  expiry: soon
train:
  gate: 1000000
"""


def freshet(*arguments):
    """The binary with just these arguments."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        capture_output=True, timeout=COMMAND_S, check=False, text=True,
    )


def title_of(item):
    return f"The Tale of {item} \u2014 é"


class UsageTest(EndToEnd):
    """What needs no daemon."""

    needs_kafka = needs_redis = False

    def test_usage_errors_exit_64(self):
        for arguments in (
            [], ["frobnicate"], ["run"], ["status", "--nonsense"], ["replay", "--config", "x"],
            ["explain", "u", "--config", "x"], ["whatif", "u", "i", "--config", "x"],
            ["rollback", "seven", "--config", "x"], ["publish", "--config", "x"],
        ):
            with self.subTest(arguments):
                done = freshet(*arguments)
                self.assertEqual((done.returncode, done.stdout), (64, ""))
                self.assertTrue(done.stderr)

    def test_every_subcommand_has_help(self):
        for command in (
            "run", "check", "broker", "replay", "items", "train", "rollback", "recommend",
            "explain", "whatif", "similar", "publish", "arms", "top", "reload", "status", "dump",
            "backup", "restore", "import", "reset", "forget", "receipt", "eval", "tune",
        ):
            with self.subTest(command):
                done = freshet(command, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"usage: freshet {command}", done.stdout)


class SettingsTest(EndToEnd):
    """Settings, and questions that nobody answers."""

    needs_kafka = needs_redis = False

    def settings(self, name):
        """Good ones, of a Kafka and a Redis that are not there."""
        nobody = f"127.0.0.1:{services.free_port()}"
        return Freshet(self.folder, name, nobody, nobody)

    def path(self, text):
        path = pathlib.Path(self.folder) / f"{self.id()}.yaml"
        path.write_text(text)
        return path

    def test_check_names_file_line_and_key_of_every_mistake(self):
        path = self.path(BAD_SETTINGS)
        done = freshet("check", "--config", path)
        self.assertEqual(done.returncode, 78)
        for line, key in ((4, "consumer.topics"), (6, "lists.n"), (7, "lists.expiry"),
                          (9, "train.gate")):
            self.assertIn(f"{path}:{line}: {key}: ", done.stderr)

    def test_run_refuses_what_check_refuses(self):
        done = freshet("run", "--config", self.path(BAD_SETTINGS))
        self.assertEqual(done.returncode, 78)

    def test_check_names_a_property_that_kafka_has_not(self):
        path = self.path("kafka:\n  sesion.timeout.ms: 10000\n")
        done = freshet("check", "--config", path)
        self.assertEqual((done.returncode, done.stdout), (78, ""))
        self.assertIn(f"{path}: kafka.sesion.timeout.ms: ", done.stderr)

    def test_settings_that_are_not_there_exit_78(self):
        self.assertEqual(freshet("check", "--config", "/nowhere/at/all.yaml").returncode, 78)

    def test_check_passes_good_settings(self):
        self.assertEqual(self.settings("good").run("check").returncode, 0)

    def test_questions_without_a_daemon_exit_75(self):
        alone = self.settings("alone")
        for question in (
            ["status"], ["recommend", "u"], ["publish", "--all"], ["rollback", "1"],
            ["explain", "u", "i"], ["whatif", "u", "+i"], ["similar", "i"],
        ):
            with self.subTest(question):
                done = alone.run(*question)
                self.assertEqual((done.returncode, done.stdout), (75, ""))

    def test_run_without_a_broker_exits_75(self):
        self.assertEqual(self.settings("brokerless").run("run").returncode, 75)


class DaemonTest(EndToEnd):
    """One daemon that has learned something and has had two generations."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = None

    def setUp(self):
        if DaemonTest.shared is None:
            DaemonTest.shared = self.started()
        self.daemon = DaemonTest.shared
        self.freshets.append(self.daemon)
        self.daemon.check_alive()

    @classmethod
    def tearDownClass(cls):
        if cls.shared is not None:
            cls.shared.end()

    def started(self):
        daemon = Freshet(
            self.folder, "asked", self.kafka.bootstrap, self.redis.address,
            {"train": {"first_events": 3000}},
        )
        daemon.start()  # which makes its topics
        daemon.ask("replay", EVENTS_FILE, "--limit", REPLAYED, "--shuffle-ties", 1)
        daemon.wait_drained(REPLAYED)
        daemon.wait_generation(1)
        daemon.ask("train")
        daemon.wait(lambda s: s["generation"]["newest"] == 2, "a second generation")
        self.send_titles(daemon)
        return daemon

    def send_titles(self, daemon):
        """Every item of the stream gets one."""
        records = self.kafka.consume(daemon.topic)
        items = sorted({json.loads(record.value)["item"] for record in records})
        path = daemon.folder / "items.tsv"
        path.write_text("item\ttitle\n" + "".join(f"{i}\t{title_of(i)}\n" for i in items))
        self.assertEqual(daemon.ask("items", path).split()[0], str(len(items)))
        wanted = len(items)
        daemon.wait(lambda s: s["records"]["item_records"] >= wanted, "the titles")

    def send(self, *events):
        """Events as dicts, each keyed by its user, until they are learned and answered."""
        total = self.daemon.status()["records"]["total"] + len(events)
        pairs = [(event["user"].encode(), json.dumps(event).encode()) for event in events]
        self.kafka.produce(self.daemon.topic, pairs)
        self.daemon.wait_drained(total)

    def send_item(self, **record):
        record["title"] = title_of(record["item"])  # a record stands for the whole item
        before = self.daemon.status()["records"]["item_records"]
        self.kafka.produce_raw(
            self.daemon.items_topic, record["item"].encode(), json.dumps(record).encode(), 0
        )
        self.daemon.wait(lambda s: s["records"]["item_records"] > before, "the item's record")

    def list_of(self, user):
        return json.loads(self.daemon.ask("recommend", user, "--json"))

    def items_of(self, user):
        return [item for item, _ in self.list_of(user)["items"]]

    def some_user(self, place):
        """A user of the recorded stream; each test takes another."""
        records = self.kafka.consume(self.daemon.topic)
        users = sorted({r.key.decode() for r in records if len(r.key) == 16})
        return users[place]

    def test_recommend_prints_a_table_with_titles(self):
        user = self.some_user(1)
        shown = self.daemon.ask("recommend", user)
        for item, _ in self.list_of(user)["items"]:
            self.assertRegex(shown, rf"(?m)^.*\b{item}\b.*{title_of(item)}$")

    def test_recommend_json_is_the_value_in_redis(self):
        user = self.some_user(2)
        kept = self.redis.command("GET", self.daemon.prefix + user)
        self.assertEqual(self.daemon.ask("recommend", user, "--json").strip().encode(), kept)

    def test_recommend_for_a_stranger_says_so(self):
        done = self.daemon.run("recommend", "nobody ever heard of")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")

    def test_lists_expire(self):
        user = self.some_user(3)
        self.assertGreater(self.redis.command("TTL", self.daemon.prefix + user), 0)

    def test_the_popular_list_and_the_meta_hash_are_kept(self):
        popular = json.loads(self.redis.command("GET", self.daemon.prefix + "popular"))
        self.assertIsNone(popular["user"])
        self.assertEqual(len(popular["items"]), 20)
        pairs = self.redis.command("HGETALL", self.daemon.prefix + "meta")
        meta = dict(zip(pairs[::2], pairs[1::2]))
        self.assertLessEqual({b"generation", b"schema", b"nonce", b"heartbeat"}, meta.keys())

    def test_the_popular_list_comes_back_without_an_event(self):
        key = self.daemon.prefix + "popular"
        self.redis.command("DEL", key)
        self.daemon.ask("publish", "--all")
        text = services.wait_until(lambda: self.redis.command("GET", key), "the popular list is back", 30)
        self.assertEqual(len(json.loads(text)["items"]), 20)

    def test_an_event_changes_its_users_list(self):
        user, before = "shopper", None
        item = self.items_of(self.some_user(4))[0]
        self.send({"user": user, "item": item, "type": "wishlist"})
        before = self.list_of(user)
        self.send({"user": user, "item": item, "type": "played"})
        after = self.list_of(user)
        self.assertEqual(after["cause"], "event")
        self.assertGreater(after["v"], before["v"])
        self.assertNotIn(item, [name for name, _ in after["items"]])

    def test_a_blocked_item_leaves_the_lists_and_comes_back(self):
        user = self.some_user(5)
        item = self.items_of(user)[0]
        self.send_item(item=item, blocked=True)
        self.daemon.ask("publish", user)
        self.assertNotIn(item, self.items_of(user))
        self.send_item(item=item, blocked=False)
        self.daemon.ask("publish", user)
        self.assertIn(item, self.items_of(user))

    def test_an_item_no_longer_available_leaves_the_lists(self):
        user = self.some_user(6)
        item = self.items_of(user)[0]
        self.send_item(item=item, available_until=1000)
        self.daemon.ask("publish", user)
        self.assertNotIn(item, self.items_of(user))

    def test_a_retracted_event_is_as_if_it_had_not_been(self):
        user = "regretful"
        kept, second = self.items_of(self.some_user(7))[:2]
        self.send({"user": user, "item": kept, "type": "played", "id": "1"})
        before = json.loads(self.daemon.ask("dump", user))
        self.send({"user": user, "item": second, "type": "played", "id": "2"})
        version = self.list_of(user)["v"]
        self.send({"user": user, "type": "retract", "ref": "2"})
        after = json.loads(self.daemon.ask("dump", user))
        for key in ("interactions", "seen"):
            self.assertEqual(after[key], before[key])
        self.assertGreater(self.list_of(user)["v"], version, "and it was answered")

    def test_a_forgotten_user_leaves_a_tombstone_and_nothing_else(self):
        user = self.some_user(8)
        self.send({"user": user, "type": "forget_user"})
        kept = json.loads(self.redis.command("GET", self.daemon.prefix + user))
        self.assertEqual((kept["forgotten"], kept["items"]), (True, []))
        left = self.daemon.dump().tombstones[user]
        self.assertTrue(left["forgotten"])
        self.assertEqual((left["events"], left["changed_events"], left["trial"]), (0, 0, None))
        for key in ("interactions", "seen", "shown", "list"):
            self.assertEqual(left[key], [], key)
        self.assertEqual(self.daemon.ask("dump", "--all").count(f'"{user}"'), 1)

    def test_dump_of_one_user_is_one_line(self):
        user = self.some_user(9)
        line = json.loads(self.daemon.ask("dump", user))
        self.assertEqual(line, self.daemon.dump().users[user])

    def test_rollback_makes_an_earlier_generation_live(self):
        user = self.some_user(10)
        before = self.daemon.status()["generation"]
        self.daemon.ask("rollback", "1")
        after = self.daemon.status()["generation"]
        self.assertEqual((after["number"], after["swaps"]), (1, before["swaps"] + 1))
        self.daemon.wait(lambda s: s["owed"] == 0, "lists of the other generation")
        self.daemon.ask("publish", user)
        self.assertEqual(self.list_of(user)["gen"], 1)
        self.assertNotEqual(self.daemon.run("rollback", "4711").returncode, 0)
        self.assertEqual(self.daemon.status()["generation"]["number"], 1, "and it stays")

    def test_a_second_daemon_on_the_same_state_is_refused(self):
        done = self.daemon.run("run")
        self.assertEqual(done.returncode, 78)
        self.assertIn("in use", done.stderr)

    def test_status_is_readable(self):
        done = self.daemon.run("status")
        self.assertEqual(done.returncode, 0)
        self.assertIn("6", done.stdout)
        accuracy = self.daemon.status()["accuracy"]["new"]
        self.assertGreater(accuracy["freshet"]["events"], 0)
        self.assertIn("hit@20", accuracy["recent"]["1w"])


    def test_openblas_has_kernels_for_this_processor(self):
        said = re.search(r"; numbers by (\w+) and OpenBLAS's (\w+)", self.daemon.log.read_text())
        self.assertIsNotNone(said)
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
        if "avx2" in flags and "fma" in flags:
            self.assertIn(said[1], ("avx2", "avx512"))
            self.assertIn(said[2], WIDE_CORES)
        name = pathlib.Path(f"/proc/{self.daemon.process.pid}/comm").read_text()
        self.assertEqual(name, "freshet\n")


class EmbeddedBrokerTest(EndToEnd):
    """`freshet broker` instead of Kafka serves the same line."""

    needs_kafka = False

    def test_replay_through_the_embedded_broker_loses_nothing(self):
        log = pathlib.Path(self.folder) / "broker.log"
        names = "try-events,try-items,try-events.dead"
        command = [BINARY, "broker", "--topics", names, "--partitions", "3"]
        broker = services.spawn(command, log, stdout=subprocess.PIPE)
        self.addCleanup(broker.stdout.close)
        self.addCleanup(services.stop, broker)
        address = broker.stdout.readline().decode().strip()
        self.assertRegex(address, r"^127\.0\.0\.1:\d+$")
        daemon = Freshet(
            self.folder, "try", address, self.redis.address, {"train": {"first_events": 4000}}
        )
        self.freshets.append(daemon)
        self.addCleanup(daemon.end)
        daemon.start()
        daemon.ask("replay", EVENTS_FILE, "--limit", 10_000)
        daemon.wait_drained(10_000)
        daemon.wait_generation(1)
        self.assertEqual(daemon.terminate(), 0)
        self.assertEqual(services.stop(broker), 0, "the broker ends on SIGTERM")


if __name__ == "__main__":
    main()
