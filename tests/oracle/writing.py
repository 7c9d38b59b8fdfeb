"""The ways to write down a good record: all of them mean the same."""

import json

from .events import Said


def _as_json(draw, text):
    """An id, which may be given as a number if its text is that of one."""
    looks_like_int = text.lstrip("-").isdecimal() and text.isascii() and str(int(text)) == text
    return int(text) if looks_like_int and draw.random() < 0.5 else text


def _fields(draw, event, with_ts, extra):
    fields = {"type": event.type}
    for key in ("user", "item", "id", "ref"):
        text = getattr(event, key)
        if text is not None:
            fields[key] = _as_json(draw, text)
    if event.ts is not None and (with_ts or draw.random() < 0.8):
        fields["ts"] = event.ts
    if event.value != 1.0 or draw.random() < 0.2:
        fields["value"] = int(event.value) if event.value == int(event.value) else event.value
    return {**fields, **extra}


def _said_fields(draw, said):
    return {"item": _as_json(draw, said.item), **said.said}


def _adorned(draw, fields):
    """What is not for freshet, or says nothing, and another order."""
    if draw.random() < 0.2:
        fields["session"] = {"a": [1, {"b": None}], "é": "\u2028"}
    if draw.random() < 0.1:
        fields |= {key: None for key in ("value", "id", "list", "pos", "title") if key not in fields}
    order = list(fields)
    if draw.random() < 0.5:
        draw.shuffle(order)
    return {key: fields[key] for key in order}


def write(draw, number, what, with_ts=True, **extra):
    """(key, value) of an Event or a Said. The number makes the bytes unlike all others.

    with_ts: the event time is not the record's timestamp, and so has to be said."""
    if isinstance(what, Said):
        key, fields = what.item, _said_fields(draw, what)
    else:
        key, fields = what.user, _fields(draw, what, with_ts, extra)
    fields = _adorned(draw, {"n": number, **fields})
    style = draw.choice(({}, {"ensure_ascii": False}, {"separators": (",", ":")}, {"indent": 1}))
    return key.encode(), json.dumps(fields, **style).encode()
