#!/usr/bin/env python3
"""The failpoints: the table of base/failpoint.h, and the places in the code that bear its names.

    names.py [BINARY WITHOUT FAILPOINTS]

checks that each name stands at exactly one place, each place in the table, and none in the binary.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("base", "consumer", "model", "publisher", "monitor", "eval", "daemon")


def read_table():
    """{name: (meaning, whether it can fail)}, in the order of the table."""
    text = (TOP / "base" / "failpoint.h").read_text()
    rows = re.findall(r'X\("([a-z._]+)",\s*"([^"]*)"\)', text)
    return {name: (meaning, meaning.endswith("can fail")) for name, meaning in rows}


def read_places():
    """[(name, whether it can fail, file)] of the code."""
    places = []
    for folder in FOLDERS:
        for path in sorted((TOP / folder).glob("*.c")):
            for fails, name in re.findall(r'FAILPOINT(_FAILS)?\("([^"]+)"\)', path.read_text()):
                places.append((name, bool(fails), path.relative_to(TOP)))
    return places


def complaints(binary=None):
    table, places = read_table(), read_places()
    for name, fails, path in places:
        if name not in table:
            yield f"{path}: failpoint {name} is not in the table of base/failpoint.h"
        elif table[name][1] != fails:
            yield f"{path}: failpoint {name}: the table says otherwise whether it can fail"
    for name in table:
        count = sum(place[0] == name for place in places)
        if count != 1:
            yield f"base/failpoint.h: {name} stands at {count} places"
    if binary:
        data = pathlib.Path(binary).read_bytes()
        for word in [*table, "FRESHET_FAILPOINTS"]:
            if word.encode() + b"\0" in data:
                yield f"{binary}: has {word} in it"


def main():
    found = list(complaints(*sys.argv[1:2]))
    print("\n".join(found) if found else f"{len(read_table())} failpoints, no complaint")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
