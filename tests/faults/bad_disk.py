"""A disk that fails for one freshet: its calls go through libbadio.so (badio.h), which a file tells
what shall fail, at any time."""

import errno
import os
import pathlib

import harness

RULE_BYTES = 1024
LIBRARY = pathlib.Path(harness.BINARY).parent / "tests" / "libbadio.so"
ALL = "open,write,fsync,truncate,rename,map,make,remove"
FULL = "write,rename,make"  # what a full disk refuses


class BadDisk:
    """Well until told otherwise. start(env=disk.env) puts it below a daemon and what it spawns."""

    def __init__(self, freshet):
        self.state_dir = freshet.state_dir
        self.path = freshet.folder / "badio"
        self.mend()
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.env = {
            "LD_PRELOAD": str(LIBRARY), "FRESHET_BADIO": str(self.path), "ASAN_OPTIONS": sanitizer,
        }

    def _tell(self, rule):
        data = rule.encode().ljust(RULE_BYTES, b"\0")
        assert len(data) == RULE_BYTES, "too long a rule"
        with open(self.path, "r+b" if self.path.exists() else "wb", buffering=0) as file:
            file.write(data)  # in place: it is mapped

    def fail(self, calls=FULL, error=errno.ENOSPC, match="", nth=1, only=False, short=False):
        """These calls on the state directory fail, from the nth on, or only that one."""
        self._tell(
            f"calls={calls} dir={self.state_dir} match={match} errno={error} nth={nth} "
            f"only={int(only)} short={int(short)}"
        )

    def mend(self):
        self._tell("")
