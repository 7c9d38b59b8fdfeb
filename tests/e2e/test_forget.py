#!/usr/bin/env python3
"""`freshet forget`: what it erases is gone, and what its receipt says remains is where it says."""

import json
import shutil

from harness import EVENTS_FILE, EndToEnd, main

REPLAYED = 4000
DOWN = 75


class ForgetTest(EndToEnd):
    def dead_letters(self, freshet, user):
        records = self.kafka.consume(f"{freshet.topic}.dead")
        return [record.value for record in records if record.key == user.encode()]

    def test_a_forgotten_user_is_gone_and_the_receipt_is_true(self):
        freshet = self.freshet("forget", {
            "train": {"first_events": 3000}, "consumer": {"create_partitions": 3}, "lists": {"expiry": "3d"},
        })
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", REPLAYED)
        freshet.wait_generation(1)
        freshet.wait_drained(REPLAYED)
        user = max(freshet.dump().users.items(), key=lambda entry: len(entry[1]["interactions"]))[0]
        self.kafka.produce(freshet.topic, [(user.encode(), b"not JSON")])  # a dead letter of his
        freshet.wait_drained(REPLAYED + 1)
        freshet.wait(lambda s: self.dead_letters(freshet, user), "the dead letter")
        backup = freshet.folder / "backup"
        freshet.ask("backup", backup)

        receipt = freshet.ask("receipt", user)
        kept = freshet.dump().users[user]
        self.assertIn(f"{len(kept['interactions'])} interactions", receipt)
        self.assertIn("a list of 20 items", receipt)
        sums = freshet.dump().sums

        receipt = freshet.ask("forget", user)
        self.assert_gone(freshet, user, receipt)
        self.assert_remains(freshet, user, receipt, sums)
        self.assert_backup_forgets_again(freshet, user, backup)

    def assert_gone(self, freshet, user, receipt):
        dump = freshet.dump()
        self.assertIn(user, dump.tombstones)
        self.assertIn("nothing is kept of the user but a tombstone with the id (durable)", receipt)
        tombstone = json.loads(self.redis.command("GET", freshet.prefix + user))
        self.assertEqual((tombstone["forgotten"], tombstone["items"]), (True, []))
        self.assertIn(tombstone["v"], receipt)
        self.assertIn("0 with the user's key are held", receipt)
        self.assertIsNone(self.dead_letters(freshet, user)[-1], "a tombstone follows the dead letter")

    def assert_remains(self, freshet, user, receipt, sums):
        ttl_ms = self.redis.command("PTTL", freshet.prefix + user)
        self.assertTrue(0 < ttl_ms <= 3 * 86_400_000, "the tombstone goes by itself")
        self.assertIn("lists.expiry = 3 days", receipt)
        changes = self.redis.command("XRANGE", f"{freshet.prefix}changes", "-", "+")
        self.assertTrue(any(user.encode() in fields for _, fields in changes))
        self.assertIn(f"{freshet.prefix}changes: the id", receipt)
        self.assertEqual(freshet.dump().sums, sums, "what is counted of items stays, without a name")
        own = [r for r in self.kafka.consume(freshet.topic) if r.key == user.encode()]
        self.assertIn(f"{freshet.topic} partition {own[0].partition}:", receipt)
        self.assertIn(f"to {own[-1].offset}, until", receipt)
        self.assertIn("cleanup.policy delete, retention.ms -1", receipt)
        path = freshet.state_dir / "generations" / "00000001.gen"
        self.assertNotIn(f'"{user}"'.encode(), path.read_bytes())
        self.assertIn(f"{path}: cut at offset", receipt)
        self.assertNotIn("after the forgetting", receipt)
        copy = freshet.folder / "after"
        freshet.ask("backup", copy)
        self.assertNotIn(user.encode() + b"\x00", (copy / "data.mdb").read_bytes(), "a backup has no freed pages")

    def assert_backup_forgets_again(self, freshet, user, backup):
        """A backup from before has the history; the log tells it to forget."""
        self.assertEqual(freshet.terminate(), 0)
        done = freshet.run("forget", user)
        self.assertEqual(done.returncode, DOWN)
        self.assertIn("is obeyed when the daemon comes to it", done.stderr)
        freshet.ask("restore", backup, "--force")
        self.assertIn(user, freshet.dump().users)
        freshet.start()
        freshet.wait(lambda s: not s["catching_up"] and s["owed"] == 0 and s["queued"] == 0, "caught up")
        self.assertIn(user, freshet.dump().tombstones)
        self.assertIn("nothing is kept", freshet.ask("receipt", user))
        self.assertIsNone(self.dead_letters(freshet, user)[-1])
        shutil.rmtree(backup)


class OtherInstanceTest(EndToEnd):
    """Of several instances one has the user; what another one's state still has of him is no answer."""

    def test_only_the_instance_that_has_the_user_gives_a_receipt(self):
        first = self.freshet("first")
        other = self.freshet("other", {
            "consumer": {
                "topic": first.topic, "items_topic": first.items_topic, "group": first.group,
                "instance": "other",
            },
            "redis": {"prefix": first.prefix},
        })
        first.start()
        first.ask("replay", EVENTS_FILE, "--limit", 500)
        first.wait_drained(500)
        other.start()
        status = other.wait(lambda s: s["partitions"] and s["redis"]["up"], "has partitions")
        theirs = {line["partition"] for line in status["partitions"]}
        first.wait(lambda s: not theirs & {line["partition"] for line in s["partitions"]}, "let go of them")
        user = next(name for name, kept in first.dump().users.items() if kept["partition"] in theirs)

        for command in ("receipt", "forget"):
            done = first.run(command, user, timeout_s=30)
            self.assertEqual((done.returncode, done.stdout), (DOWN, ""))
            self.assertIn("is another instance's: ask that one", done.stderr)
        self.assertIn("is obeyed when the daemon comes to it", done.stderr)
        receipt = other.ask("forget", user)
        self.assertIn("nothing is kept of the user but a tombstone", receipt)
        self.assertIn("a state that had partition", receipt)
        self.assertIn(user, first.dump().users, "as the receipt says")


if __name__ == "__main__":
    main()
