#!/usr/bin/env python3
"""Backups, and states that take another's place: what comes out is what the log says, and Redis never goes back."""

import collections
import json
import pathlib
import shutil
import subprocess

from harness import COMMAND_S, EVENTS_FILE, PARTITIONS, EndToEnd, main, oracle
from services import wait_until

REPLAYED = 11_000
RATE = 500
BACKED_UP_AT = 5000
IMPORTED = 4000
LONG = 50  # times as many: an import that takes a while
SETTINGS = {"train": {"first_events": 3000}}
USAGE, DATA, BAD_SETTINGS = 64, 65, 78


def offset_of(version):
    return int(version.split(".")[2], 16)


class KeepTest(EndToEnd):
    def manifest(self, backup):
        text, checksum, _ = (backup / "MANIFEST").read_text().split("\n")
        self.assertEqual(len(checksum), 16)
        return json.loads(text)

    def versions(self, freshet, names):
        texts = self.redis.get_all([freshet.prefix + name for name in names])
        return {name: json.loads(text)["v"] for name, text in zip(names, texts) if text is not None}

    def refused(self, freshet, status, *arguments):
        done = freshet.run(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def learned(self, name, events=BACKED_UP_AT):
        """A freshet that has learned so many events, and is stopped."""
        freshet = self.freshet(name, SETTINGS)
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", events)
        freshet.wait_generation(1)
        freshet.wait_drained(events)
        self.assertEqual(freshet.terminate(), 0)
        return freshet

    # ---- backup and restore

    def test_a_backup_made_while_it_learns_restores_to_what_the_log_says(self):
        freshet = self.freshet("backup", SETTINGS)
        backup = freshet.folder / "backup"
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", BACKED_UP_AT)
        freshet.wait_generation(1)
        replay = freshet.spawn("replay", EVENTS_FILE, "--limit", REPLAYED - BACKED_UP_AT, "--rate", RATE)
        freshet.wait_applied(BACKED_UP_AT + 1)
        freshet.ask("backup", backup)
        self.assertIsNone(replay.poll(), "the backup was made in mid-stream")
        manifest = self.manifest(backup)
        kept = {p["partition"]: p["next_offset"] for p in manifest["offsets"] if p["topic"] == freshet.topic}
        self.assertGreaterEqual(sum(kept.values()), BACKED_UP_AT)
        self.assertEqual(replay.wait(), 0)
        freshet.wait_drained(REPLAYED)
        freshet.ask("publish", "--all")
        self.assertIn("is there already", self.refused(freshet, BAD_SETTINGS, "backup", backup))

        names = sorted(freshet.dump().users)
        before = self.versions(freshet, names)
        freshet.kill()
        shutil.rmtree(freshet.state_dir)
        freshet.ask("restore", backup)
        freshet.start()
        self.assert_never_goes_back(freshet, names, before)
        status = freshet.wait_drained(REPLAYED)
        self.assertEqual(status["records"]["this_run"], REPLAYED - sum(kept.values()), "only the gap is read")
        after = self.versions(freshet, names)
        self.assertTrue(all(after[name] > before[name] for name in before), "every list was replaced")
        self.assert_two_equalities(freshet, REPLAYED)

    def assert_never_goes_back(self, freshet, names, before):
        """While it catches up, no list in Redis is of an offset below the one it had."""
        watched = names[:: max(1, len(names) // 200)]

        def done(status):
            for name, version in self.versions(freshet, watched).items():
                self.assertGreaterEqual(offset_of(version), offset_of(before[name]), name)
            return not status["catching_up"] and status["owed"] == 0

        freshet.wait(done, "caught up")

    def test_a_backup_that_does_not_fit_is_refused_with_the_way_out(self):
        freshet = self.learned("refused")
        backup = freshet.folder / "backup"
        freshet.ask("backup", f"{backup}/")  # of a state that nobody runs on
        self.assertIn("--force", self.refused(freshet, BAD_SETTINGS, "restore", backup))
        freshet.start()
        self.assertIn("in use by process", self.refused(freshet, BAD_SETTINGS, "restore", backup, "--force"))
        self.assertEqual(freshet.terminate(), 0)

        before = freshet.ask("dump", "--all")
        self.refuse_damage(freshet, backup)
        self.refuse_other_settings(freshet, backup)
        self.assertEqual(freshet.ask("dump", "--all"), before, "what was refused changed nothing")
        self.refuse_gap(freshet, backup)

    def refuse_damage(self, freshet, backup):
        for name in ("data.mdb", "MANIFEST", "generations/00000001.gen"):
            copy = freshet.folder / "damaged"
            shutil.copytree(backup, copy)
            data = bytearray((copy / name).read_bytes())
            data[len(data) // 2] ^= 1
            (copy / name).write_bytes(data)
            words = self.refused(freshet, DATA, "restore", copy, "--force")
            self.assertIn(name, words)
            self.assertIn("damaged", words)
            shutil.rmtree(copy)
        (freshet.folder / "empty").mkdir()
        self.assertIn("no backup", self.refused(freshet, DATA, "restore", freshet.folder / "empty"))
        self.assertIn("no backup", self.refused(freshet, DATA, "restore", freshet.folder / "nothing"))

    def refuse_other_settings(self, freshet, backup):
        right = freshet.settings
        freshet.write({**right, "consumer": {**right["consumer"], "topic": "another"}})
        self.assertIn("another", self.refused(freshet, BAD_SETTINGS, "restore", backup, "--force"))
        _, address = self.start_broker("other", "refused")
        freshet.write({**right, "kafka": {"bootstrap.servers": address}})
        self.assertIn("cluster", self.refused(freshet, BAD_SETTINGS, "restore", backup, "--force"))
        freshet.write(right)

    def refuse_gap(self, freshet, backup):
        """The log begins later than the backup ends: it says so, and goes on without if it is told to."""
        kept = {p["partition"]: p["next_offset"] for p in self.manifest(backup)["offsets"] if p["topic"] == freshet.topic}
        more = 1000
        freshet.ask("replay", EVENTS_FILE, "--limit", more)
        ends = self.kafka.log_ends(freshet.topic, PARTITIONS)
        partition = max(ends, key=lambda p: ends[p] - kept[p])
        gone = 10
        with self.kafka.wire() as wire:
            wire.delete_records(freshet.topic, partition, kept[partition] + gone)
        words = self.refused(freshet, BAD_SETTINGS, "restore", backup, "--force")
        self.assertIn(f"{gone} records between are gone", words)
        self.assertIn("--accept-gap", words)

        freshet.ask("restore", backup, "--force", "--offline")
        freshet.process = None
        done = freshet.run("run")
        self.assertEqual(done.returncode, BAD_SETTINGS, done.stderr)
        self.assertIn("freshet restore", done.stderr)

        self.assertIn(f"{gone} records are left out", freshet.ask("restore", backup, "--force", "--accept-gap"))
        freshet.start()
        freshet.wait_drained(BACKED_UP_AT + more - gone)
        self.assertEqual(freshet.terminate(), 0)

    # ---- reset

    def test_reset_begins_anew_and_its_lists_replace_the_old_ones(self):
        freshet = self.learned("reset")
        old = freshet.dump()
        before = self.versions(freshet, sorted(old.users))
        words = self.refused(freshet, USAGE, "reset")
        self.assertIn("--yes", words)
        self.assertEqual(freshet.dump(), old)
        freshet.start()
        self.assertIn("in use by process", self.refused(freshet, BAD_SETTINGS, "reset", "--yes"))
        self.assertEqual(freshet.terminate(), 0)

        freshet.ask("reset", "--yes")
        self.assertFalse(freshet.dump().users)
        freshet.start()
        freshet.wait_generation(1)  # the one that was kept
        freshet.wait_drained(BACKED_UP_AT)
        after = self.versions(freshet, sorted(old.users))
        self.assertTrue(all(after[name] > before[name] for name in before))
        self.assert_two_equalities(freshet, BACKED_UP_AT)
        self.assertEqual(freshet.dump().state["generation"], 1)

        freshet.ask("reset", "--yes", "--drop-generations")
        self.assertFalse(list(pathlib.Path(freshet.state_dir).glob("generations/*.gen")))

    # ---- import

    def history_file(self, freshet):
        """A recording of everything that may stand in one, as JSON lines: its events."""
        lines = subprocess.run(
            f"zstd -dc {EVENTS_FILE} | head -{IMPORTED + 1}", shell=True, check=True, capture_output=True, text=True
        ).stdout.splitlines()[1:]
        events = []
        for number, line in enumerate(lines):
            ts, user, item, kind, value = line.split("\t")
            event = {"user": user, "item": item, "type": kind, "ts": int(ts), "value": float(value)}
            events.append(event | {"id": f"e{number}"})
            if number % 50 == 0:
                events.append(event | {"id": f"e{number}"})  # a duplicate
            if number % 60 == 0:
                events.append({"user": user, "type": "retract", "ref": f"e{number}", "ts": int(ts)})
            if number % 70 == 0:
                events.append({"user": user, "item": item, "type": "impression", "ts": int(ts)})
            if number % 500 == 0:
                events.append({"user": user, "type": "forget_user", "ts": int(ts)})
        path = freshet.folder / "history.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return path, events

    def as_records(self, freshet, events):
        """The same as records before the log: where a producer would have put them."""
        twin = f"{freshet.topic}-twin"
        self.kafka.create_topic(twin, PARTITIONS)
        self.kafka.produce(twin, [(event["user"].encode(), json.dumps(event).encode()) for event in events])
        records = self.kafka.consume(twin)
        counts = collections.Counter(record.partition for record in records)
        return [record._replace(offset=record.offset - counts[record.partition]) for record in records]

    def test_history_from_before_kafka_counts_as_if_it_stood_before_the_log(self):
        freshet = self.freshet("import", SETTINGS)
        path, events = self.history_file(freshet)
        before = self.as_records(freshet, events)
        freshet.ask("replay", EVENTS_FILE, "--limit", BACKED_UP_AT)  # the log has records already

        self.refuse_bad_history(freshet, events)
        self.interrupt_import(freshet, events)
        words = freshet.ask("import", path)
        self.assertIn(f"{len(events)} events in {PARTITIONS} partitions", words)
        imported = freshet.ask("dump", "--all")
        self.assertIn("freshet reset", self.refused(freshet, BAD_SETTINGS, "import", path))
        self.assertEqual(freshet.ask("dump", "--all"), imported, "a second import changes nothing")

        freshet.start()
        freshet.wait_drained(len(events) + BACKED_UP_AT)
        freshet.wait_generation(2)  # the import counts as a swap
        freshet.ask("publish", "--all")
        self.assertEqual(freshet.terminate(), 0)
        dump = freshet.dump()
        state = oracle.fold([*before, *self.kafka.consume(freshet.topic)], freshet.rules())
        self.assert_nothing_wrong(oracle.dump_differences(dump, state, freshet.topic))
        self.assert_lists_are_recomputed(freshet, dump)
        self.assertIn("freshet reset", self.refused(freshet, BAD_SETTINGS, "import", path))

    def refuse_bad_history(self, freshet, events):
        """The whole file is looked at before anything is done."""
        path = freshet.folder / "bad.jsonl"
        for bad in (events[0] | {"type": "unheard of"}, {"user": "u"}, events[0] | {"ts": "now"}):
            lines = [json.dumps(event) for event in [*events[:100], bad, *events[100:200]]]
            path.write_text("\n".join(lines))
            self.assertIn(f"{path}:101: ", self.refused(freshet, DATA, "import", path))
            self.assertFalse((freshet.state_dir / "data.mdb").exists())

    def interrupt_import(self, freshet, events):
        """Killed while it learns: there is no state, and what is left is in nobody's way."""
        path = freshet.folder / "long.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events) * LONG)
        process = freshet.spawn("import", path)
        wait_until(lambda: (freshet.state_dir / "aside" / "data.mdb").exists(), "it learns", COMMAND_S, 0.005)
        process.kill()
        process.wait()
        self.assertFalse((freshet.state_dir / "data.mdb").exists())


if __name__ == "__main__":
    main()
