"""Sends a ledger's records: each once, in order, whatever the broker does meanwhile."""

import confluent_kafka

FLUSH_S = 120
POLL_S = 0.05


class Sender:
    """An idempotent producer. One thread."""

    def __init__(self, bootstrap, **properties):
        self.failed = []
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            # Keys go where Java clients and freshet itself send them.
            "partitioner": "murmur2_random",
            "message.timeout.ms": 0,  # never gives up by itself
            "message.max.bytes": 64_000_000,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,  # a broker that is away is what the tests are about
            **{key.replace("_", "."): value for key, value in properties.items()},
        })

    def _delivered(self, error, message):
        if error is not None:
            self.failed.append(f"{message.topic()}: {error}")

    def send(self, records):
        """Queues the records."""
        for record in records:
            while True:
                try:
                    self.producer.produce(
                        record.topic, record.value, record.key, on_delivery=self._delivered,
                        timestamp=record.timestamp_ms, headers=list(record.headers),
                    )
                    break
                except BufferError:
                    self.producer.poll(POLL_S)
            self.producer.poll(0)

    def flush(self, deadline_s=FLUSH_S):
        """Waits until all is delivered; AssertionError if that fails."""
        left = self.producer.flush(deadline_s)
        if left or self.failed:
            raise AssertionError(f"{left} records not delivered, failed: {self.failed[:5]}")


def send(bootstrap, records):
    """Sends and waits."""
    sender = Sender(bootstrap)
    sender.send(records)
    sender.flush()
