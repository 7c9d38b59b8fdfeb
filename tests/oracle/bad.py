"""Records that are no events, of every kind, and the reason that each must be refused for.

@N stands for the record's number, which makes it findable; @U for a user, @T for an event type, @A
for the first millisecond too far ahead of the record's timestamp.
"""

from typing import NamedTuple, Optional

MIB = 1 << 20
EVENT_BYTES_MAX = 64 * 1024  # consumer.event_bytes_max, unless set
FAR_AHEAD_MS = 4_102_444_800_000  # the year 2100


class Bad(NamedTuple):
    """How to write one, and why it is refused."""

    key: Optional[bytes]
    value: Optional[bytes]
    reason: str


def _event(rest=b"", user=b'"@U"', item=b'"i"', kind=b'"@T"'):
    return b'{"n":@N,"user":%b,"item":%b,"type":%b%b}' % (user, item, kind, rest)


def _padded(size):
    return _event(b',"x":"%b"' % (b"y" * (size - 80)))


U = b"@U"
BAD = {
    "broken JSON": Bad(U, b'{"n":@N,"user":"@U","item":', "bad_json"),
    "not an object": Bad(U, b'["@U",@N,"i","@T"]', "bad_json"),
    "a bare word": Bad(U, b"hello@N", "bad_json"),
    "a bare number": Bad(U, b"@N", "bad_json"),
    "bytes after the object": Bad(U, _event() + b"x", "bad_json"),
    "two objects": Bad(U, _event() + _event(), "bad_json"),
    "a comma too many": Bad(U, _event(b","), "bad_json"),
    "NaN": Bad(U, _event(b',"value":NaN'), "bad_json"),
    "infinity": Bad(U, _event(b',"value":1e999'), "bad_json"),
    "single quotes": Bad(U, b"{'n':@N,'user':'@U','item':'i','type':'@T'}", "bad_json"),
    "a key twice": Bad(U, _event(b',"user":"v"'), "bad_json"),
    "too deep": Bad(U, b'{"n":@N,"user":"@U","item":"i","type":"@T","x":' + b"[" * 5000, "bad_json"),
    "deep and closed": Bad(U, _event(b',"x":' + b"[" * 99 + b"]" * 99), "bad_json"),
    "a lone surrogate": Bad(U, _event(item=b'"\\ud800"'), "bad_json"),
    "a control character": Bad(U, _event(item=b'"i\x01"'), "bad_json"),
    "U+0000 in an item": Bad(U, _event(item=b'"i\\u0000"'), "bad_json"),
    "bad UTF-8": Bad(U, _event(item=b'"\xff\xfe"'), "bad_utf8"),
    "UTF-8 too long": Bad(U, _event(item=b'"\xc0\xaf"'), "bad_utf8"),
    "no user": Bad(U, b'{"n":@N,"item":"i","type":"@T"}', "missing_field"),
    "no item": Bad(U, b'{"n":@N,"user":"@U","type":"@T"}', "missing_field"),
    "no type": Bad(U, b'{"n":@N,"user":"@U","item":"i"}', "missing_field"),
    "an item of null": Bad(U, _event(item=b"null"), "missing_field"),
    "retract of nothing": Bad(U, b'{"n":@N,"user":"@U","type":"retract"}', "missing_field"),
    "impression of nothing": Bad(U, b'{"n":@N,"user":"@U","type":"impression"}', "missing_field"),
    "forget whom": Bad(U, b'{"n":@N,"type":"forget_user"}', "missing_field"),
    "an unknown type": Bad(U, _event(kind=b'"smelled"'), "unknown_type"),
    "an empty type": Bad(U, _event(kind=b'""'), "bad_field"),
    "a type of a number": Bad(U, _event(kind=b"7"), "bad_field"),
    "negative value": Bad(U, _event(b',"value":-1'), "bad_field"),
    "value as text": Bad(U, _event(b',"value":"1"'), "bad_field"),
    "user as a list": Bad(U, _event(user=b'["@U"]'), "bad_field"),
    "user as a fraction": Bad(U, _event(user=b"1.5"), "bad_field"),
    "an empty user": Bad(b"", _event(user=b'""'), "bad_field"),
    "an empty item": Bad(U, _event(item=b'""'), "bad_field"),
    "a tab in an item": Bad(U, _event(item=b'"i\\t"'), "bad_field"),
    "an item too long": Bad(U, _event(item=b'"' + b"i" * 129 + b'"'), "bad_field"),
    "an id too long": Bad(U, _event(b',"id":"' + b"i" * 129 + b'"'), "bad_field"),
    "ts as text": Bad(U, _event(b',"ts":"yesterday"'), "bad_field"),
    "negative ts": Bad(U, _event(b',"ts":-1'), "bad_field"),
    "ts too far ahead": Bad(U, _event(b',"ts":@A'), "ahead"),
    "ts in the year 2100": Bad(U, _event(b',"ts":%d' % FAR_AHEAD_MS), "ahead"),
    "the key of another": Bad(b"v@N", _event(), "wrong_key"),
    "an empty key": Bad(b"", _event(), "wrong_key"),
    "no key": Bad(None, _event(), "wrong_key"),
    "forget by another": Bad(b"v@N", b'{"n":@N,"user":"@U","type":"forget_user"}', "wrong_key"),
    "a null": Bad(b"null@N", None, "no_value"),
    "nothing": Bad(b"nothing@N", b"", "no_value"),
    "too large": Bad(U, _padded(EVENT_BYTES_MAX + 200), "too_large"),
}
# These want a broker that takes them: message.max.bytes.
HUGE = {
    "just under the broker's usual limit": Bad(U, _padded(MIB - 200), "too_large"),
    "10 MB": Bad(U, _padded(10_000_000), "too_large"),
}
BAD_ITEMS = {
    "broken JSON": Bad(b"i", b'{"n":@N,"item":"i"', "bad_json"),
    "no item": Bad(b"i", b'{"n":@N,"title":"t"}', "missing_field"),
    "the key of another": Bad(b"j", b'{"n":@N,"item":"i","title":"t"}', "wrong_key"),
    "blocked as text": Bad(b"i", b'{"n":@N,"item":"i","blocked":"yes"}', "bad_field"),
    "categories as text": Bad(b"i", b'{"n":@N,"item":"i","categories":"c"}', "bad_field"),
    "an empty record": Bad(b"empty@N", b"", "no_value"),
}


def filled(text, **places):
    """The key or value with its places filled in."""
    if text is not None:
        for place, value in places.items():
            text = text.replace(b"@" + place.encode(), value)
    return text
