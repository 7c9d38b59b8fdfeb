"""The few requests to a Kafka broker that kcat cannot make.

Topics, ends of logs, a group's offsets, deleting old records: spoken directly, in the oldest
versions that a 3.9 broker takes, because a Java tool needs two seconds for each.
Protocol: https://kafka.apache.org/protocol. One broker that is leader and coordinator of all.
"""

import socket
import struct

LIST_OFFSETS, METADATA, OFFSET_FETCH, API_VERSIONS = 2, 3, 9, 18
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, CREATE_PARTITIONS = 19, 20, 21, 37
LATEST, EARLIEST = -1, -2
TIMEOUT_MS = 20_000


class KafkaError(Exception):
    """The broker answered with an error code."""

    def __init__(self, what, code):
        super().__init__(f"{what}: Kafka error {code}")
        self.code = code


def text(value):
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def array(encoded):
    return struct.pack(">i", len(encoded)) + b"".join(encoded)


class Reader:
    """Takes big-endian values off the front of a response."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values if len(values) > 1 else values[0]

    def text(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def array(self, element):
        return [element() for _ in range(self.take("i"))]


class Wire:
    """One connection, one request at a time; a context manager."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_MS / 1000)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the broker hung up")
            data += more
        return data

    def request(self, api, version, body):
        self.correlation += 1
        message = struct.pack(">hhi", api, version, self.correlation) + text("tests") + body
        self.socket.sendall(struct.pack(">i", len(message)) + message)
        reader = Reader(self._receive(struct.unpack(">i", self._receive(4))[0]))
        assert reader.take("i") == self.correlation
        return reader

    def ping(self):
        """Raises unless the broker answers requests."""
        code = self.request(API_VERSIONS, 0, b"").take("h")
        if code:
            raise KafkaError("ApiVersions", code)

    def create_topic(self, topic, partitions, config=None, copies=1):
        configs = array([text(k) + text(v) for k, v in (config or {}).items()])
        entry = text(topic) + struct.pack(">ih", partitions, copies) + array([]) + configs
        body = array([entry]) + struct.pack(">i", TIMEOUT_MS)
        reader = self.request(CREATE_TOPICS, 0, body)
        for name, code in reader.array(lambda: (reader.text(), reader.take("h"))):
            if code:
                raise KafkaError(f"CreateTopics {name}", code)

    def delete_topic(self, topic):
        body = array([text(topic)]) + struct.pack(">i", TIMEOUT_MS)
        reader = self.request(DELETE_TOPICS, 0, body)
        for name, code in reader.array(lambda: (reader.text(), reader.take("h"))):
            if code:
                raise KafkaError(f"DeleteTopics {name}", code)

    def create_partitions(self, topic, count):
        """More partitions for a topic: `count` in all."""
        entry = text(topic) + struct.pack(">ii", count, -1)
        body = array([entry]) + struct.pack(">ib", TIMEOUT_MS, 0)
        reader = self.request(CREATE_PARTITIONS, 0, body)
        reader.take("i")
        for name, code, _ in reader.array(lambda: (reader.text(), reader.take("h"), reader.text())):
            if code:
                raise KafkaError(f"CreatePartitions {name}", code)

    def in_sync(self, topic):
        """[the brokers in sync] of each partition."""
        reader = self.request(METADATA, 1, array([text(topic)]))
        reader.array(lambda: (reader.take("i"), reader.text(), reader.take("i"), reader.text()))
        reader.take("i")

        def numbers():
            return reader.array(lambda: reader.take("i"))

        def partition():
            reader.take("hii")
            return numbers(), numbers()

        topics = reader.array(
            lambda: (reader.take("h"), reader.text(), reader.take("b"), reader.array(partition))
        )
        return [brokers for _, brokers in topics[0][3]]

    def log_end(self, topic, partition, which=LATEST):
        """The offset after the last record of a partition (or of the first, for EARLIEST)."""
        entry = text(topic) + array([struct.pack(">iq", partition, which)])
        reader = self.request(LIST_OFFSETS, 1, struct.pack(">i", -1) + array([entry]))
        found = reader.array(
            lambda: (reader.text(), reader.array(lambda: reader.take("ihqq")))
        )
        _, code, _, offset = found[0][1][0]
        if code:
            raise KafkaError(f"ListOffsets {topic}/{partition}", code)
        return offset

    def committed(self, group, topic, partitions):
        """{partition: offset} of a group; -1 where it has committed none, {} if it never did."""
        entry = text(topic) + array([struct.pack(">i", p) for p in range(partitions)])
        reader = self.request(OFFSET_FETCH, 1, text(group) + array([entry]))

        def one_partition():
            partition, offset = reader.take("iq")
            reader.text()
            code = reader.take("h")
            if code:
                raise KafkaError(f"OffsetFetch {group} {topic}/{partition}", code)
            return partition, offset

        found = reader.array(lambda: (reader.text(), reader.array(one_partition)))
        return dict(found[0][1]) if found else {}

    def delete_records(self, topic, partition, before):
        """Makes `before` the first offset of the log."""
        entry = text(topic) + array([struct.pack(">iq", partition, before)])
        reader = self.request(DELETE_RECORDS, 0, array([entry]) + struct.pack(">i", TIMEOUT_MS))
        reader.take("i")
        found = reader.array(
            lambda: (reader.text(), reader.array(lambda: reader.take("iqh")))
        )
        _, low, code = found[0][1][0]
        if code:
            raise KafkaError(f"DeleteRecords {topic}/{partition}", code)
        return low
