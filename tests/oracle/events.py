"""What a record is, apart from how it is written down."""

from typing import NamedTuple, Optional

INTERACTION, IMPRESSION, RETRACT, FORGET, DEAD = (
    "interaction", "impression", "retract", "forget_user", "dead",
)


class Event(NamedTuple):
    """A record of the events topic."""

    kind: str
    user: Optional[str] = None
    item: Optional[str] = None
    type: Optional[str] = None
    value: float = 1.0
    ts: Optional[int] = None  # event time, ms
    id: Optional[str] = None
    ref: Optional[str] = None  # of a retraction
    reason: Optional[str] = None  # of a dead one


class Said(NamedTuple):
    """A record of the items topic."""

    item: Optional[str]
    said: Optional[dict] = None  # None: nothing is said of the item any more
    reason: Optional[str] = None  # of a dead one


class Placed(NamedTuple):
    """Where in its topic an Event or a Said is."""

    partition: int
    offset: int
    what: object
