#!/usr/bin/env python3
"""Bad events: each in the dead-letter topic, by its position, and the stream goes on."""

import base64
import collections
import json

import services
from harness import DRAIN_S, EndToEnd, main

MIB = 1 << 20
PAYLOAD_MAX = 64 * 1024
FAR_AHEAD_MS = 4_102_444_800_000  # the year 2100


def event(**fields):
    return json.dumps({"user": "u", "item": "i", "type": "played", **fields}).encode()


def without(key):
    fields = {"user": "u", "item": "i", "type": "played"}
    del fields[key]
    return json.dumps(fields).encode()


# name: (key, value, reason)
BAD = {
    "broken JSON": (b"u", b'{"user":"u","item":', "bad_json"),
    "not an object": (b"u", b'["u","i","played"]', "bad_json"),
    "a bare word": (b"u", b"hello", "bad_json"),
    "bytes after the object": (b"u", event() + b"x", "bad_json"),
    "two objects": (b"u", event() + event(), "bad_json"),
    "NaN": (b"u", b'{"user":"u","item":"i","type":"played","value":NaN}', "bad_json"),
    "infinity": (b"u", b'{"user":"u","item":"i","type":"played","value":1e999}', "bad_json"),
    "single quotes": (b"u", b"{'user':'u','item':'i','type':'played'}", "bad_json"),
    "a key twice": (b"u", b'{"user":"u","user":"v","item":"i","type":"played"}', "bad_json"),
    "too deep": (b"u", b'{"user":"u","item":"i","type":"played","x":' + b"[" * 5000, "bad_json"),
    "deep and closed": (b"u", event()[:-1] + b',"x":' + b"[" * 99 + b"]" * 99 + b"}", "bad_json"),
    "a lone surrogate": (b"u", b'{"user":"u","item":"\\ud800","type":"played"}', "bad_json"),
    "a control character": (b"u", b'{"user":"u","item":"i\x01","type":"played"}', "bad_json"),
    "bad UTF-8": (b"u", b'{"user":"u","item":"\xff\xfe","type":"played"}', "bad_utf8"),
    "UTF-8 too long": (b"u", b'{"user":"u","item":"\xc0\xaf","type":"played"}', "bad_utf8"),
    "no user": (b"u", without("user"), "missing_field"),
    "no item": (b"u", without("item"), "missing_field"),
    "no type": (b"u", without("type"), "missing_field"),
    "retract of nothing": (b"u", b'{"user":"u","type":"retract"}', "missing_field"),
    "an unknown type": (b"u", event(type="smelled"), "unknown_type"),
    "negative value": (b"u", event(value=-1), "bad_field"),
    "value as text": (b"u", event(value="1"), "bad_field"),
    "user as a list": (b"u", event(user=["u"]), "bad_field"),
    "user as a fraction": (b"u", event(user=1.5), "bad_field"),
    "an empty user": (b"", event(user=""), "bad_field"),
    "an empty item": (b"u", event(item=""), "bad_field"),
    "U+0000 in an item": (b"u", b'{"user":"u","item":"i\\u0000","type":"played"}', "bad_json"),
    "an item too long": (b"u", event(item="i" * 129), "bad_field"),
    "ts as text": (b"u", event(ts="yesterday"), "bad_field"),
    "negative ts": (b"u", event(ts=-1), "bad_field"),
    "ts far ahead": (b"u", event(ts=FAR_AHEAD_MS), "ahead"),
    "the key of another": (b"v", event(), "wrong_key"),
    "an empty key": (b"", event(), "wrong_key"),
    "a null": (b"u", None, "no_value"),
    "nothing": (b"u", b"", "no_value"),
    "just under the broker's usual limit": (b"u", event(x="y" * (MIB - 200)), "too_large"),
    "10 MB": (b"u", event(x="y" * 10_000_000), "too_large"),
}
BAD_ITEMS = {
    "broken JSON": (b"i", b'{"item":"i"', "bad_json"),
    "no item": (b"i", b'{"title":"t"}', "missing_field"),
    "the key of another": (b"j", b'{"item":"i","title":"t"}', "wrong_key"),
    "blocked as text": (b"i", b'{"item":"i","blocked":"yes"}', "bad_field"),
}


def good(number):
    user = f"u{number % 5}"
    return user.encode(), event(user=user, item=f"i{number}", id=f"g{number}")


class BadEventsTest(EndToEnd):
    kafka_properties = {"message_max_bytes": 20_000_000, "replica_fetch_max_bytes": 20_000_000}

    def send_amid_good_ones(self, freshet):
        """{(topic, partition, offset): (name, value, reason)} of the bad ones; the good count."""
        names, sent = {}, 0
        for name, (key, value, reason) in BAD.items():
            partition = sent % 3
            self.kafka.produce(freshet.topic, [good(sent)])
            offset = self.kafka.log_ends(freshet.topic, 3)[partition]
            self.kafka.produce_raw(freshet.topic, key, value, partition)
            names[freshet.topic, partition, offset] = (name, value, reason)
            sent += 1
        self.kafka.produce(freshet.topic, [good(sent)])
        for offset, (name, (key, value, reason)) in enumerate(BAD_ITEMS.items()):
            self.kafka.produce_raw(freshet.items_topic, key, value, 0)
            names[freshet.items_topic, 0, offset] = (f"item: {name}", value, reason)
        return names, sent + 1

    def dead_letters(self, freshet, count):
        """The dead-letter topic once it has `count` records."""
        topic = freshet.topic + ".dead"

        def read():
            records = self.kafka.consume(topic)
            return records if len(records) >= count else None

        return services.wait_until(read, f"{count} dead letters", DRAIN_S, poll_s=0.5)

    def test_all_and_only_they_are_dead_letters(self):
        freshet = self.freshet("bad", {"train": {"first_events": 1_000_000}})
        freshet.start()
        bad, good_count = self.send_amid_good_ones(freshet)
        freshet.wait_drained(len(bad) + good_count)

        letters = collections.defaultdict(list)
        for record in self.dead_letters(freshet, len(bad)):
            letter = json.loads(record.value)
            letters[letter["topic"], letter["partition"], letter["offset"]].append(letter)
        missing = [bad[position][0] for position in bad.keys() - letters.keys()]
        self.assertFalse(missing, "not in the dead-letter topic")
        self.assertFalse(letters.keys() - bad.keys(), "these were no bad events")
        for position, (name, value, reason) in bad.items():
            with self.subTest(name):
                self.assertEqual(len(letters[position]), 1, "once each")
                self.assert_letter_tells(letters[position][0], value, reason)

        dead = {position[1:] for position in bad if position[0] == freshet.topic}
        dead_items = {position[1:] for position in bad if position[0] == freshet.items_topic}
        _, state = self.assert_two_equalities(
            freshet, len(bad) + good_count, dead=dead, dead_items=dead_items
        )
        applied = sum(counters["applied"] for counters in state.counters.values())
        self.assertEqual(applied, good_count)

    def assert_letter_tells(self, letter, value, reason):
        self.assertEqual(letter["reason"], reason)
        if not value:
            return
        if "payload" in letter:
            payload = letter["payload"].encode()
        else:
            payload = base64.b64decode(letter["payload_base64"])
        self.assertEqual(payload, value[:PAYLOAD_MAX])


if __name__ == "__main__":
    main()
