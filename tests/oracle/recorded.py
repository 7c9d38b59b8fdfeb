"""Records that nobody keeps a ledger of: what they are is read from the log itself.

For streams that are replayed from a file. A Ledger's records are not read, they are known.
"""

import json

from .events import DEAD, FORGET, IMPRESSION, INTERACTION, RETRACT, Event, Placed, Said
from .fold import fold_placed

CONTROL_TYPES = (RETRACT, FORGET, IMPRESSION)


def decode(record):
    """A good record's event with its defaults filled in."""
    fields = json.loads(record.value)
    text = {key: str(fields[key]) for key in ("user", "item", "id", "ref") if key in fields}
    kind = fields["type"] if fields["type"] in CONTROL_TYPES else INTERACTION
    return Event(
        kind, type=fields["type"], value=fields.get("value", 1.0),
        ts=fields.get("ts", record.timestamp), **text,
    )


def _place(record, dead):
    if (record.partition, record.offset) in dead:
        return Placed(record.partition, record.offset, Event(DEAD))
    return Placed(record.partition, record.offset, decode(record))


def _place_item(record, dead):
    if (record.partition, record.offset) in dead:
        what = Said(None, reason="dead")
    else:
        said = None if record.value is None else json.loads(record.value)
        what = Said(record.key.decode(), said)
    return Placed(record.partition, record.offset, what)


def fold(records, rules, dead=frozenset(), item_records=(), dead_items=frozenset()):
    """The State of all records; `dead` has the (partition, offset) of those that are no events."""
    return fold_placed(
        [_place(record, dead) for record in records],
        rules,
        [_place_item(record, dead_items) for record in item_records],
    )
