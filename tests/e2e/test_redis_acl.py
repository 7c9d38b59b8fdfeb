#!/usr/bin/env python3
"""The rights that docs/OPERATING.md says Freshet needs are enough, each is needed, and what is
missing is said. The password is nowhere to be seen."""

import json
import pathlib
import re
import shlex
import shutil

import services
from harness import BINARY, PARTITIONS, ROOT, EndToEnd, main

PASSWORD = "a-password-of-the-test"
OUTAGE_S = 90
# What a missing right is called where every list, or the connection, needs it.
NEEDED = {
    "ping": "PING: NOPERM",
    "script|load": "SCRIPT LOAD: NOPERM",
    "evalsha": "NOPERM.*evalsha",
    "getrange": "GETRANGE, EXISTS and SET",
    "hgetall": "meta: NOPERM.*hgetall",
    "hset": "meta: NOPERM.*hset",
}


def documented_line(prefix):
    text = (ROOT / "docs" / "OPERATING.md").read_text()
    words = shlex.split(re.search(r"^ +(ACL SETUSER .*)$", text, re.MULTILINE).group(1))
    filled = [word.replace("PASSWORD", PASSWORD) for word in words]
    return [f"~{prefix}*" if word == "~rec:*" else word for word in filled]


class AclTest(EndToEnd):
    needs_kafka = needs_redis = False

    def setUp(self):
        self.kafka = services.Broker(
            self.folder, BINARY, ["acl-events", "acl-items", "acl-events.dead"], PARTITIONS
        ).start()
        self.addCleanup(shutil.rmtree, self.kafka.folder)
        self.addCleanup(services.stop, self.kafka.process)
        self.redis = services.Redis(self.folder)
        self.addCleanup(shutil.rmtree, self.redis.folder)
        self.addCleanup(self.redis.stop)
        self.redis.start()
        self.users = 0

    def freshet_with_rights(self):
        secret = pathlib.Path(self.folder) / "secret"
        secret.write_text(PASSWORD + "\n")
        freshet = self.freshet(
            "acl", {"redis": {"username": "freshet", "password": f"file:{secret}"}}
        )
        self.line = documented_line(freshet.prefix)
        self.redis.command(*self.line)
        return freshet

    def act(self, freshet):
        """Somebody new does something: a list is to be written."""
        self.users += 1
        user = f"u{self.users}"
        event = json.dumps({"user": user, "item": f"i{self.users}", "type": "played"}).encode()
        self.kafka.produce(freshet.topic, [(user.encode(), event)])
        return user

    def wait_list(self, freshet, user):
        services.wait_until(
            lambda: self.redis.command("GET", freshet.prefix + user), f"{user}'s list", OUTAGE_S
        )

    def test_the_documented_rights_are_enough_and_each_is_needed(self):
        freshet = self.freshet_with_rights()
        freshet.start()
        self.wait_list(freshet, self.act(freshet))
        self.redis.command("SCRIPT", "FLUSH")
        user = self.act(freshet)
        self.wait_list(freshet, user)
        self.assertIn('"user"', freshet.ask("recommend", user, "--json"))
        self.assertGreater(self.redis.command("XLEN", freshet.prefix + "changes"), 0)
        self.assertEqual(freshet.status()["redis"]["why"], "")
        self.assertEqual(self.redis.command("ACL", "LOG"), [])
        self.lists_do_without_some(freshet, user)
        for right, why in NEEDED.items():
            self.says_what_is_missing(freshet, right, why)
        self.assert_password_is_nowhere(freshet)
        self.assertEqual(freshet.terminate(), 0)

    def lists_do_without_some(self, freshet, user):
        self.redis.command("ACL", "SETUSER", "freshet", "-get", "-xadd")
        self.assertIn("NOPERM", freshet.run("recommend", user).stderr)
        self.wait_list(freshet, self.act(freshet))
        freshet.wait(
            lambda s: s["redis"]["up"] and re.search("changes: NOPERM.*xadd", s["redis"]["why"]),
            "says that changes are not told",
        )
        self.redis.command(*self.line)

    def says_what_is_missing(self, freshet, right, why):
        self.redis.command("ACL", "SETUSER", "freshet", f"-{right}")
        self.redis.command("CLIENT", "KILL", "USER", "freshet")
        user = self.act(freshet)
        freshet.wait(
            lambda s: not s["redis"]["up"] and re.search(why, s["redis"]["why"]),
            f"without {right}: {why}", OUTAGE_S,
        )
        self.redis.command(*self.line)
        self.wait_list(freshet, user)

    def assert_password_is_nowhere(self, freshet):
        command_line = pathlib.Path(f"/proc/{freshet.process.pid}/cmdline").read_text()
        checked = freshet.run("check")
        seen = [
            command_line, freshet.log.read_text(), json.dumps(freshet.status()),
            freshet.ask("dump", "--all"), freshet.ask("status", "--metrics"),
            checked.stdout + checked.stderr,
        ]
        for text in seen:
            self.assertNotIn(PASSWORD, text)


if __name__ == "__main__":
    main()
