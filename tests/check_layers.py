"""Checks who includes whom. A folder may include only what its row names; a library only the files of its row.

The rule (docs/ARCHITECTURE.md, "Layers"): `base` knows nothing of ours; a station knows `base` and the product header of
the station before it; only `daemon` knows several. Prints each violation and exits 1 if there are any.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent

FOLDERS = {  # folder -> what of ours it may include: folders, or single headers
    "base": ["base/"],
    "consumer": ["base/", "consumer/"],
    "model": ["base/", "model/", "consumer/event.h"],
    "publisher": ["base/", "publisher/", "model/slate.h"],
    "monitor": ["base/", "monitor/", "model/", "consumer/event.h"],
    "eval": ["base/", "eval/", "model/", "monitor/", "consumer/event.h"],
    "daemon": ["base/", "consumer/", "model/", "publisher/", "monitor/", "eval/", "daemon/"],
}

KEPT = {  # header of a library, or one of ours that brings a library along -> the files that may include it
    r"librdkafka/": r"consumer/[a-z_]+\.(c|h)",
    r"hiredis/": r"publisher/redis\.c",
    r"openssl/": r"publisher/tls\.c",
    r"lmdb\.h": r"model/state_lmdb\.h",
    r"model/state_lmdb\.h": r"model/state(_format|_view)?\.c",
    r"(cblas|lapacke)\.h": r"model/blas\.c",
    r"yaml\.h": r"daemon/yaml\.c",
    r"jansson\.h": r"base/json\.c",
    r"xxhash\.h": r"base/hash\.c",
    r"microhttpd\.h": r"monitor/http\.c",
    r"zstd\.h": r"consumer/lines\.c",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def violations(path):
    name = path.relative_to(TOP).as_posix()
    allowed = FOLDERS[name.split("/")[0]]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        quoted, header = found.group(1) == '"', found.group(2)
        if quoted and not any(header == a or (a.endswith("/") and header.startswith(a)) for a in allowed):
            yield f"{name}:{number}: {name.split('/')[0]}/ must not include {header}"
        for kept, files in KEPT.items():
            if re.match(kept, header) and not re.fullmatch(files, name):
                yield f"{name}:{number}: only {files} may include {header}"


def main():
    files = [p for folder in FOLDERS for p in sorted((TOP / folder).glob("*.[ch]"))]
    found = [v for path in files for v in violations(path)]
    print("\n".join(found) if found else f"{len(files)} files, no violation")
    return 1 if found or not files else 0


sys.exit(main())
