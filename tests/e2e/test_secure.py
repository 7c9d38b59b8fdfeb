#!/usr/bin/env python3
"""TLS, SASL/SCRAM and access lists of a real Kafka: with right settings all of Freshet works, with the rights that
docs/SECURITY.md lists and no more; with wrong ones it says what is wrong and ends. The password shows nowhere."""

import pathlib
import re
import subprocess
import time

import services
from certificates import Authority
from harness import BINARY, EVENTS_FILE, PARTITIONS, ROOT, EndToEnd, Freshet, main

EVENTS = 3000
USER, PASSWORD = "freshet", "a-password-of-the-test"
STRANGER, ITS_PASSWORD = "stranger", "its-own-password"
REFUSED_S = 60  # freshet waits 30 s for Kafka
EX_TEMPFAIL = 75


def listed_rights(topic, items_topic, group):
    """The rules between the markers of docs/SECURITY.md, with our names in them."""
    text = (ROOT / "docs" / "SECURITY.md").read_text()
    block = re.search(r"<!-- acls -->\n(.*?)<!-- /acls -->", text, re.S).group(1)
    names = {"EVENTS": topic, "ITEMS": items_topic, "GROUP": group}
    rules = [line.strip() for line in block.splitlines() if line.strip().startswith("--")]
    return [re.sub(r"\b(EVENTS|ITEMS|GROUP)\b", lambda m: names[m[1]], rule) for rule in rules]


class SecureTest(EndToEnd):
    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours, cls.theirs = Authority(cls.folder, "ours"), Authority(cls.folder, "theirs")
        identity = cls.ours.issue("broker", "DNS:localhost,IP:127.0.0.1")
        cls.kafka = services.SecureKafka(cls.folder, identity, {USER: PASSWORD, STRANGER: ITS_PASSWORD})
        cls.addClassCleanup(cls.kafka.stop)
        cls.kafka.start()

    def secure(self, name, **kafka):
        """A freshet that goes to the secure listener; `kafka`: properties that differ, `_` for dots."""
        secret = pathlib.Path(self.folder) / f"{name}.secret"
        secret.write_text(PASSWORD + "\n")
        properties = {
            "bootstrap.servers": self.kafka.secure_bootstrap,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.ours.ca),
            "sasl.username": USER,
            "sasl.password": f"file:{secret}",
            **{key.replace("_", "."): value for key, value in kafka.items()},
        }
        return self.freshet(name, {
            "kafka": properties,
            "consumer": {"create_partitions": 0},
            "train": {"first_events": 1000},
        })

    # ---- what works

    def test_events_dead_letters_and_replay_go_over_tls_with_the_listed_rights(self):
        freshet = self.secure("works")
        dead = f"{freshet.topic}.dead"
        self.kafka.create_topic(dead, 1)
        self.kafka.allow(USER, [
            *listed_rights(freshet.topic, freshet.items_topic, freshet.group),
            f"--operation Write --topic {freshet.topic}",  # for `replay` alone
        ])
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", EVENTS)
        self.kafka.produce(freshet.topic, [(b"u", b"no event")])
        freshet.wait_drained(EVENTS + 1)
        letters = services.wait_until(lambda: self.kafka.consume(dead), "the dead letter", 60)
        self.assertIn(b"bad_json", letters[0].value)
        self.assert_secret_shows_nowhere(freshet)
        socket = freshet.state_dir / "control.sock"
        self.assertEqual(socket.stat().st_mode & 0o077, 0, "the socket is for its owner alone")
        self.assertEqual(freshet.terminate(), 0)
        self.assert_nothing_in_files(freshet)

    def assert_secret_shows_nowhere(self, freshet):
        """Neither in what freshet says nor in what the system shows of it and its trainer."""
        process = pathlib.Path("/proc") / str(freshet.process.pid)
        said = [
            freshet.ask("check"), freshet.ask("status", "--json"), freshet.ask("status", "--metrics"),
            (process / "cmdline").read_text(), (process / "environ").read_text(),
        ]
        for children in process.glob("task/*/children"):
            for child in children.read_text().split():
                said.append((pathlib.Path("/proc") / child / "cmdline").read_text())
        for text in said:
            self.assertNotIn(PASSWORD, text)

    def assert_nothing_in_files(self, freshet):
        self.assertNotIn(PASSWORD, freshet.ask("dump", "--all"))
        for path in [freshet.log, *freshet.state_dir.rglob("*")]:
            if path.is_file():
                self.assertNotIn(PASSWORD.encode(), path.read_bytes(), path)
                if path != freshet.log:
                    self.assertEqual(path.stat().st_mode & 0o077, 0, f"{path} is for its owner alone")

    # ---- what is refused

    def test_what_is_wrong_is_said_and_ends_it(self):
        wrong = {
            "wrong-password": (
                self.secure("wrong-password", sasl_password="not-it"), "authentication failed|Authentication failed"
            ),
            "wrong-authority": (
                self.secure("wrong-authority", ssl_ca_location=str(self.theirs.ca)), "certificate verify failed"
            ),
            "plain": (self.secure("plain", security_protocol="PLAINTEXT"), "disconnected|security.protocol"),
            "no-rights": (
                self.secure("no-rights", sasl_username=STRANGER, sasl_password=ITS_PASSWORD), "authoriz|not permitted"
            ),
        }
        began = time.monotonic()
        for freshet, _ in wrong.values():  # side by side, since each waits for Kafka
            freshet.process = services.spawn([BINARY, "run", "--config", freshet.config], freshet.log)
        for name, (freshet, words) in wrong.items():
            with self.subTest(name):
                left = max(REFUSED_S - (time.monotonic() - began), 1)
                status = freshet.process.wait(left)
                log = freshet.log.read_text()
                self.assertIn(status, (EX_TEMPFAIL, 78), log)
                self.assertRegex(log, words)
                self.assertNotIn(PASSWORD, log)
                self.assertNotIn("not-it", log)

    def test_properties_that_run_code_are_refused(self):
        for name, value in {
            "sasl.kerberos.kinit.cmd": "touch /tmp/x", "plugin.library.paths": "x.so", "ssl.engine.location": "x.so",
            "sasl.mechanism": "GSSAPI", "sasl.oauthbearer.method": "oidc",
        }.items():
            freshet = Freshet(
                self.folder, f"denied-{name}", self.kafka.bootstrap, self.redis.address, {"kafka": {name: value}}
            )
            done = freshet.run("check")
            self.assertEqual(done.returncode, 78)
            self.assertRegex(done.stderr, rf"freshet.yaml:\d+: kafka.{re.escape(name)}: may not be set")


if __name__ == "__main__":
    main()
