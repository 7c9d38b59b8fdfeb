"""Records to Kafka with keys, values and timestamps of our choice, at a rate, in a thread.

kcat can set no timestamps, and a process for each record would be slow, so the Produce request is
spoken here (version 2, message format 1: the last that needs no more than a CRC-32).
Protocol: https://kafka.apache.org/protocol. A record may come twice if the broker goes away between
writing it and saying so: the log is what counts, and it is read afterwards.
"""

import math
import struct
import threading
import time
import zlib

import kafka_wire
from kafka_wire import array, text

PRODUCE = 0
ACKS_ALL = -1
BATCH = 500  # records in a request, at most
RETRY_S = 0.2
GIVE_UP_S = 600


def murmur2(data):
    """Kafka's hash of a key (org.apache.kafka.common.utils.Utils.murmur2)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    for (k,) in struct.iter_unpack("<I", data[: len(data) // 4 * 4]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[len(data) // 4 * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def nullable(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def message_set(records):
    """[(timestamp_ms, key, value)] as messages of format 1."""
    out = []
    for offset, (timestamp_ms, key, value) in enumerate(records):
        body = struct.pack(">bbq", 1, 0, timestamp_ms) + nullable(key) + nullable(value)
        message = struct.pack(">I", zlib.crc32(body)) + body
        out.append(struct.pack(">qi", offset, len(message)) + message)
    return b"".join(out)


class Sender:
    """One connection, opened again when it broke. `address` is asked each time: "host:port"."""

    def __init__(self, address):
        self.address = address
        self.wire = None

    def close(self):
        if self.wire:
            self.wire.socket.close()
        self.wire = None

    def _connected(self):
        if self.wire is None:
            host, port = self.address().rsplit(":", 1)
            self.wire = kafka_wire.Wire(host, int(port))
        return self.wire

    def _try(self, topic, partition, records):
        data = message_set(records)
        part = struct.pack(">ii", partition, len(data)) + data
        body = struct.pack(">hi", ACKS_ALL, kafka_wire.TIMEOUT_MS)
        body += array([text(topic) + array([part])])
        reader = self._connected().request(PRODUCE, 2, body)
        found = reader.array(lambda: (reader.text(), reader.array(lambda: reader.take("ihqq"))))
        _, code, _, _ = found[0][1][0]
        if code:
            raise kafka_wire.KafkaError(f"Produce {topic}/{partition}", code)

    def send(self, topic, partition, records, stopping=lambda: False):
        """Until the broker has them."""
        end = time.monotonic() + GIVE_UP_S
        while not stopping():
            try:
                self._try(topic, partition, records)
                return
            except (OSError, kafka_wire.KafkaError, struct.error):
                self.close()
                if time.monotonic() > end:
                    raise
                time.sleep(RETRY_S)


class Load:
    """A ledger's records on their way to Kafka: `events` of them (None: until finish() is called),
    `rate` a second (None: at once).

    rate may be a function of the seconds since it began. .produced counts; .done() says whether all
    are in the log, .join() waits for it. finish() ends it after what is under way; stop() at once,
    when nobody will look at the log any more."""

    def __init__(self, address, partitions, ledger, events, rate=None):
        self.address, self.partitions, self.ledger = address, partitions, ledger
        self.events, self.rate = math.inf if events is None else events, rate
        self.produced = 0
        self.error = None
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _due(self, began):
        """How many more may be sent now."""
        if self.rate is None:
            return BATCH
        passed = time.monotonic() - began
        rate = self.rate(passed) if callable(self.rate) else self.rate
        allowed = self._allowed + rate * (passed - self._passed)
        self._allowed, self._passed = allowed, passed
        return int(min(allowed - self.produced, BATCH))

    def _run(self):
        sender = Sender(self.address)
        self._allowed = self._passed = 0.0
        began = time.monotonic()
        try:
            while self.produced < self.events and not self.stopping:
                count = int(min(self._due(began), self.events - self.produced))
                if count < 1:
                    time.sleep(0.005)  # the pace itself: nothing is waited for
                    continue
                self._send(sender, self.ledger.next(count))
                self.produced += count
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            sender.close()

    def _send(self, sender, records):
        places = {}
        for record in records:
            count = self.partitions.get(record.topic, 1)
            partition = getattr(record, "partition", None)
            if partition is None:
                partition = partition_of(record.key or b"", count)
            place = places.setdefault((record.topic, partition), [])
            place.append((record.timestamp_ms, record.key, record.value))
        for (topic, partition), batch in places.items():
            sender.send(topic, partition, batch, lambda: self.stopping)

    def done(self):
        if self.error:
            raise self.error
        return not self.thread.is_alive()

    def join(self, deadline_s=GIVE_UP_S):
        """All are in the log; the load."""
        self.thread.join(deadline_s)
        if not self.done():
            raise AssertionError(f"not within {deadline_s} s: {self.events} records produced")
        return self

    def finish(self):
        """No more than what is under way now; the load, when that is in the log."""
        self.events = 0
        return self.join()

    def stop(self):
        self.stopping = True
        self.thread.join(GIVE_UP_S)
