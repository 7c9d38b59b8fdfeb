#!/usr/bin/env python3
"""Turns the dashboard's files and the API's description into one C file (monitor/assets.h): embed.py OUTPUT CHART_JS

Every file of monitor/web/ and Chart.js get a path, a content type and an ETag. The same files make the same C file, byte
for byte. tests/web/mock_daemon.py serves what assets() gives.
"""

import hashlib
import pathlib
import sys

WEB = pathlib.Path(__file__).resolve().parents[1] / "monitor" / "web"
OPENAPI = WEB.parents[1] / "docs" / "openapi.json"
PATHS = {"index.html": "/", "openapi.json": "/api/openapi.json"}  # the others are under /assets/
CHART_JS = pathlib.Path("/usr/share/javascript/chart.js/chart.min.js")  # Debian's libjs-chart.js
BYTES_A_LINE = 32

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
}

HEAD = """/* Made by scripts/embed.py from monitor/web/ and Chart.js; see monitor/assets.h. */
#include "monitor/assets.h"
"""

FIND = """
const struct asset *assets_find(struct slice path)
{
    for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++)
        if (slice_equal(slice_of(assets[i].path), path))
            return &assets[i];
    return NULL;
}
"""


def assets(chart_js=CHART_JS):
    """[(path, content type, bytes, etag)], by path."""
    out = []
    for file in [*WEB.iterdir(), pathlib.Path(chart_js), OPENAPI]:
        path = PATHS.get(file.name, f"/assets/{file.name}")
        content = file.read_bytes()
        etag = '"' + hashlib.sha256(content).hexdigest()[:32] + '"'
        out.append((path, CONTENT_TYPES[file.suffix], content, etag))
    return sorted(out)


def c_array(name, content):
    lines = [content[i : i + BYTES_A_LINE] for i in range(0, len(content), BYTES_A_LINE)]
    body = "\n".join("    " + "".join(f"{byte}," for byte in line) for line in lines)
    return f"static const unsigned char {name}[] = {{\n{body}\n}};\n"


def c_text(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_file(table):
    arrays = [c_array(f"asset_{i}", content) for i, (_, _, content, _) in enumerate(table)]
    rows = [
        f"    {{{c_text(path)}, {c_text(kind)}, asset_{i}, sizeof asset_{i}, {c_text(etag)}}},\n"
        for i, (path, kind, _, etag) in enumerate(table)
    ]
    return "\n".join([HEAD, *arrays, "static const struct asset assets[] = {\n" + "".join(rows) + "};"]) + "\n" + FIND


def main(output, chart_js):
    text = c_file(assets(chart_js))
    pathlib.Path(output).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
