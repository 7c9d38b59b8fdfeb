"""What the programs about arms have in common: a freshet on the embedded broker, and the Python of docs/ARMS.md."""

import json
import re
import signal
import urllib.request

import services
from harness import BINARY, EVENTS_FILE, PARTITIONS, ROOT, EndToEnd, Freshet, merged, oracle

REPLAYED = 6000
# Training begins with so many events; nothing else trains.
TRAINED = {"train": {"first_events": 3000}}
EXPERIMENT = {"id": "spring", "salt": "s1"}


def documented():
    """The very code that docs/ARMS.md gives to clients."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "ARMS.md").read_text(), re.S)
    names = {}
    exec(block, names)  # pylint: disable=exec-used
    return names


CLIENT = documented()


class ArmsFreshet(Freshet):
    """A freshet with arms, as its product engineer has it."""

    # ---- who is where

    def assignment(self, settings=None):
        """user -> arm, as the documented function says."""
        settings = settings or self.settings
        arms = settings.get("arms") or {}
        shares = [
            (name, 0 if arm.get("shadow") else arm["share"])
            for name, arm in arms.items() if not arm.get("control")
        ]
        owner = CLIENT["owners"](shares)
        (control,) = [name for name, arm in arms.items() if arm.get("control")] or ["default"]
        salt = settings.get("experiment", {}).get("salt") or settings["experiment"]["id"]
        names = {"control": control}
        return lambda user: names.get(*[CLIENT["arm_of"](user, salt, owner)] * 2)

    # ---- changing

    def reload(self, *overs, without=()):
        """Other settings at SIGHUP: these on top of those it has."""
        settings = self.settings
        for over in overs:
            settings = merged(settings, over)
        if without:
            arms = {name: arm for name, arm in settings["arms"].items() if name not in without}
            settings = {**settings, "arms": arms}
        self.hup(settings)

    def hup(self, settings):
        self.write(settings)
        self.process.send_signal(signal.SIGHUP)

    # ---- looking

    def overview(self, status=None):
        address = (status or self.status())["http"]
        with urllib.request.urlopen(f"http://{address}/api/overview", timeout=60) as answer:
            return json.loads(answer.read())

    def arm(self, name):
        """The arm's row of the overview."""
        return next(arm for arm in self.overview()["arms"] if arm["name"] == name)

    def figures(self, name, status=None):
        """The arm's figures of the status."""
        return next(arm for arm in (status or self.status())["arms"] if arm["name"] == name)

    def logged(self):
        return self.log.read_text(errors="replace")

    def wait_logged(self, pattern, times=1):
        return services.wait_until(
            lambda: len(re.findall(pattern, self.logged())) >= times, f"in the log: {pattern}", 60
        )

    def wait_trained(self):
        """Waits until every arm has a generation."""
        return self.wait(
            lambda s: all(arm["generation"] > 0 for arm in self.overview(s)["arms"]), "all arms are trained"
        )

    def quiet(self):
        """Waits until nobody waits for a list."""
        return self.wait(
            lambda s: s["redis"]["up"] and s["owed"] == 0 and s["queued"] == 0
            and s["kafka"]["lag"] == 0 and not s["trainer"]["running"],
            "nobody waits for a list",
        )


class ArmsTest(EndToEnd):
    """On the embedded broker, one for each test: its topics must be named when it starts."""

    needs_kafka = False

    def freshet(self, name, settings=None, **options):
        topics = [f"{name}-events", f"{name}-items", f"{name}-events.dead"]
        broker_folder = type(self).folder + f"/{name}-broker"
        services.pathlib.Path(broker_folder).mkdir()
        broker = services.Broker(broker_folder, BINARY, topics, PARTITIONS).start()
        self.addCleanup(broker.stop)
        self.kafka = broker
        # The embedded broker makes a fixed instance wait for its own old session.
        own = {
            "experiment": EXPERIMENT,
            "consumer": {"instance": ""},
            "kafka": {"session.timeout.ms": "6000"},
        }
        settings = merged(own, settings or {})
        freshet = ArmsFreshet(
            self.folder, name, broker.bootstrap, self.redis.address, settings, **options
        )
        self.freshets.append(freshet)
        self.addCleanup(freshet.end)
        return freshet

    def replay(self, freshet, limit=REPLAYED, *arguments):
        freshet.ask("replay", EVENTS_FILE, "--limit", limit, *arguments)
        return freshet.wait_drained(limit)

    def send(self, freshet, *events):
        """Events of users, in order."""
        before = freshet.status()["records"]["total"]
        pairs = [(event["user"].encode(), json.dumps(event).encode()) for event in events]
        self.kafka.produce(freshet.topic, pairs)
        return freshet.wait_applied(before + len(events))

    # ---- lists

    def lists(self, freshet, names=None):
        """{user: the list that Redis has}"""
        names = sorted(names if names is not None else freshet.dump().users)
        texts = self.redis.get_all([freshet.prefix + name for name in names])
        return {name: json.loads(text) for name, text in zip(names, texts) if text is not None}

    def assert_arms_are(self, lists, arm_of):
        wrong = [
            f"{name}: {published['arm']}, want {arm_of(name)}"
            for name, published in lists.items() if published["arm"] != arm_of(name)
        ]
        self.assertGreater(len(lists), 0)
        self.assert_nothing_wrong(wrong)

    def assert_recomputed(self, freshet, series=None):
        """Publishes all, ends the daemon, and compares the lists of every arm with the oracle's."""
        freshet.ask("publish", "--all")
        self.assertEqual(freshet.terminate(), 0, "exit status after SIGTERM")
        dump = freshet.dump()
        self.assert_lists_are_recomputed(freshet, dump, freshet.assignment(), series)
        return dump


def own_series(dump):
    """Keys of the series that arms have for themselves."""
    keys = [int(series["key"], 16) for series in dump.state["series"]]
    return [key for key in keys if key]


__all__ = ["ArmsTest", "ArmsFreshet", "CLIENT", "REPLAYED", "TRAINED", "oracle", "own_series"]
