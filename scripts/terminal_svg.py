"""Text from a terminal, as a picture: scripts/demo.sh | tee demo.txt; python3 scripts/terminal_svg.py < demo.txt > docs/demo.svg

Keeps the first lines and the last ones, so that the picture stays small.
"""

import html
import re
import sys

FIRST, LAST, COLUMNS, LINE_PX, CHAR_PX = 10, 9, 188, 17, 7.3


def main():
    lines = [re.sub(r"\x1b\[[0-9;]*[mK]", "", line).rstrip() for line in sys.stdin]
    if len(lines) > FIRST + LAST:
        lines = lines[:FIRST] + ["…"] + lines[-LAST:]
    rows = [line[: COLUMNS - 1] + "…" if len(line) > COLUMNS else line for line in lines]
    width, height = int(COLUMNS * CHAR_PX) + 32, len(rows) * LINE_PX + 32
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
          f'aria-label="The demo at a terminal">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#14181f"/>')
    print('<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12" xml:space="preserve">')
    for number, row in enumerate(rows):
        color = "#9ece6a" if row.startswith("demo:") else "#7aa2f7" if row.startswith("==") else "#c8d0dc"
        print(f'<text x="16" y="{28 + number * LINE_PX}" fill="{color}">{html.escape(row)}</text>')
    print("</g></svg>")


main()
