#!/usr/bin/env python3
"""States of the formats before (tests/golden/make_state.py made them): opened, converted, gone on with."""

import json
import pathlib
import shutil
import struct
import subprocess

import xxhash

from harness import PARTITIONS, EndToEnd, main, oracle

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
CLUSTER = "freshet-golden-stateAA"  # as in make_state.py
EVENTS, MORE = 600, 200
START_MS = 1_700_000_000_000
FORMAT = 3
BAD_SETTINGS = 78


def more_events():
    for number in range(MORE):
        event = {"user": f"u{number % 50}", "item": f"i{number % 37}", "type": "played", "id": f"m{number}"}
        yield event["user"].encode(), json.dumps(event | {"ts": START_MS + 60_000 * (EVENTS + number)}).encode()


def set_format(state_dir, was, now):
    """The number in the state's meta, wherever its page has been copied to."""
    path = state_dir / "data.mdb"
    data = path.read_bytes()
    changed = data.replace(b"format" + struct.pack("<I", was), b"format" + struct.pack("<I", now))
    assert changed != data
    path.write_bytes(changed)


def rewrite_manifest(backup, was, now):
    text = (backup / "MANIFEST").read_text().split("\n")[0].replace(was, now)
    checksum = xxhash.xxh3_64_hexdigest(text.encode())
    (backup / "MANIFEST").write_text(f"{text}\n{checksum}\n")


class UpgradeTest(EndToEnd):
    kafka_properties = {"cluster": CLUSTER}

    def unpack(self, freshet, number):
        shutil.rmtree(freshet.state_dir, ignore_errors=True)
        self.redis.command("FLUSHALL")  # lists of the other state, which is newer or not
        freshet.state_dir.mkdir()
        packed = GOLDEN / f"state-{number}.tar.zst"
        subprocess.run(f"zstd -dcq {packed} | tar -C {freshet.state_dir} -x", shell=True, check=True)
        lines = (freshet.state_dir / "log.jsonl").read_text().splitlines()
        (freshet.state_dir / "log.jsonl").unlink()
        return [json.loads(line) for line in lines]

    def test_a_state_of_an_older_format_is_converted_and_goes_on(self):
        freshet = self.freshet("golden", {"train": {"first_events": 300}})
        log = self.unpack(freshet, 1)
        self.kafka.produce(freshet.topic, [(key.encode(), value.encode()) for _, _, key, value in log])
        self.assert_log(freshet, log)
        self.open_format(freshet, 1, EVENTS)
        self.assert_log(freshet, self.unpack(freshet, 2))
        self.open_format(freshet, 2, EVENTS)

        self.kafka.produce(freshet.topic, more_events())
        self.unpack(freshet, 1)
        self.open_format(freshet, 1, EVENTS + MORE)
        self.unpack(freshet, 2)
        self.open_format(freshet, 2, EVENTS + MORE)
        self.refuse_newer(freshet)

    def assert_log(self, freshet, log):
        """What was in the state's log is in ours, at the same places."""
        ours = [[r.partition, r.offset, r.key.decode(), r.value.decode()] for r in self.kafka.consume(freshet.topic)]
        self.assertEqual(ours, log)

    def open_format(self, freshet, number, events):
        """Opened, converted, and gone on with to the end of the log."""
        refused = freshet.run("dump", "--all")
        self.assertEqual(refused.returncode, BAD_SETTINGS)
        self.assertIn(f"has format {number}", refused.stderr)
        freshet.start()
        freshet.wait(lambda s: s["assigned"] == PARTITIONS, "its partitions")
        status = freshet.wait_drained(events)
        self.assertEqual(status["records"]["this_run"], events - EVENTS, "only what is new was read")
        self.assertEqual(status["generation"]["number"], 1)
        freshet.ask("publish", "--all")
        self.assertEqual(freshet.terminate(), 0)
        dump = freshet.dump()
        self.assertEqual(dump.state["format"], FORMAT)
        self.assert_state(freshet, dump, number, events)
        self.assert_lists_are_recomputed(freshet, dump)

    def assert_state(self, freshet, dump, number, events):
        """Equal to the fold; but format 1 counted no co-occurrence, which begins with the first event after it."""
        state = oracle.fold(self.kafka.consume(freshet.topic), freshet.rules())
        pairs = dump.pairs
        if number == 1:
            self.assertEqual(bool(pairs), events > EVENTS)
            self.assertTrue(set(pairs) <= set(state.pairs))
            dump.pairs, state.pairs = {}, {}
        self.assert_nothing_wrong(oracle.dump_differences(dump, state, freshet.topic))
        dump.pairs = pairs

    def refuse_newer(self, freshet):
        """By the command and by the daemon, with the way out; which works."""
        backup = freshet.folder / "backup"
        freshet.ask("backup", backup)
        set_format(freshet.state_dir, FORMAT, FORMAT + 1)
        for command in (["dump", "--all"], ["run"], ["backup", freshet.folder / "none"]):
            done = freshet.run(*command)
            self.assertEqual(done.returncode, BAD_SETTINGS, done.stderr)
            for words in (f"has format {FORMAT + 1}", "newer", "freshet restore", "freshet reset"):
                self.assertIn(words, done.stderr)
        for was, now in (f'"state_format":{FORMAT}', f'"state_format":{FORMAT + 1}'), ('"backup":1', '"backup":2'):
            newer = freshet.folder / "newer"
            shutil.copytree(backup, newer)
            rewrite_manifest(newer, was, now)
            done = freshet.run("restore", newer, "--force")
            self.assertEqual(done.returncode, BAD_SETTINGS, done.stderr)
            self.assertIn("newer freshet", done.stderr)
            shutil.rmtree(newer)
        freshet.ask("restore", backup, "--force")
        self.assertEqual(freshet.dump().state["format"], FORMAT)
        set_format(freshet.state_dir, FORMAT, FORMAT + 1)
        freshet.ask("reset", "--yes")
        self.assertFalse(freshet.dump().users)


if __name__ == "__main__":
    main()
