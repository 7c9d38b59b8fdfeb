"""Where a ledger's records came to lie in the log."""

import collections
import dataclasses

from .events import Placed


@dataclasses.dataclass
class Log:
    """What was found."""

    placed: list  # Placed, of the events topic, by partition and offset
    said: list  # Placed, of the items topic
    findings: list  # sentences on what is not as it was sent
    in_order: bool  # each record of the events topic is there once, in the order it was handed out
    bad: dict  # (topic, partition, offset) -> Entry of a record that is a dead letter

    @property
    def bad_count(self):
        return len(self.bad)


def _learn(ledger, topic, records, findings):
    for record in records:
        place = (topic, record.partition, record.offset)
        entry = ledger.entries.get((topic, record.key, record.value))
        if entry is None:
            findings.append(f"{place}: nobody's record: {record.key!r} {record.value!r:.200}")
            continue
        if record.timestamp not in entry.timestamps:
            findings.append(f"{place}: its timestamp is {record.timestamp}, not {entry.timestamps}")
        if ledger.places.setdefault(place, entry) is not entry:
            findings.append(f"{place}: another record was there before")


def _is_in_order(ledger, topic):
    """Whether the numbers ascend in every partition, each given out once."""
    left = {id(e): collections.deque(e.numbers) for key, e in ledger.entries.items() if key[0] == topic}
    latest = {}
    for (_, partition, _), entry in sorted(
        (item for item in ledger.places.items() if item[0][0] == topic), key=lambda item: item[0]
    ):
        numbers = left[id(entry)]
        if not numbers or numbers[0] < latest.get(partition, -1):
            return False
        latest[partition] = numbers.popleft()
    return not any(left.values())


def _missing(ledger):
    """Records that were handed out and are nowhere. Of an item's, the later ones stand for the
    earlier, which compaction may take away."""
    found = {id(entry) for entry in ledger.places.values()}
    return [
        key for key, entry in ledger.entries.items()
        if id(entry) not in found and key[0] == ledger.topic
    ]


def look(ledger, kafka):
    """The log as it is, and as it was when it was looked at before: the ledger remembers places, so
    look before something deletes records."""
    findings = []
    _learn(ledger, ledger.topic, kafka.consume(ledger.topic), findings)
    if ledger.item_topic is not None:
        _learn(ledger, ledger.item_topic, kafka.consume(ledger.item_topic), findings)
    missing = _missing(ledger)
    findings += [f"not there, though it was sent: {key!r:.200}" for key in missing]
    by_topic = {ledger.topic: [], ledger.item_topic: []}
    for (topic, partition, offset), entry in sorted(ledger.places.items(), key=lambda item: item[0]):
        by_topic[topic].append(Placed(partition, offset, entry.what))
    return Log(
        by_topic[ledger.topic],
        by_topic[ledger.item_topic] if ledger.item_topic is not None else [],
        findings,
        not missing and _is_in_order(ledger, ledger.topic),
        {place: entry for place, entry in ledger.places.items() if entry.what.reason},
    )
