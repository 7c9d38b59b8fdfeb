#!/usr/bin/env python3
"""Pictures of the dashboard of a running daemon, for the docs: screenshots.py URL [FOLDER]

The ones in docs/ are of `scripts/demo.sh --keep` when two thirds of its events are in; it says the address as it begins.
Writes dashboard-light.png, dashboard-dark.png and dashboard-phone.png into FOLDER (docs/ if not given). Needs Debian's
chromium, chromium-driver and python3-selenium (the tests' packages), and python3-pil to make the files small.
"""

import argparse
import io
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "web"))
from browser import Browser  # noqa: E402

PICTURES = {  # name -> size of the window, theme
    "light": ((1440, 1180), "light"),
    "dark": ((1440, 1180), "dark"),
    "phone": ((390, 1500), "light"),
}
BYTES_MAX = 200_000
COLOURS = 128


def smaller(png):
    try:
        from PIL import Image
    except ImportError:
        return png
    out = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=TOP / "docs")
    args = parser.parse_args()
    with Browser() as browser:
        for name, (size, theme) in PICTURES.items():
            browser.resize(size)
            browser.prefer(theme)
            browser.open(args.url)
            png = browser.picture()
            png = png if len(png) <= BYTES_MAX // 2 else smaller(png)
            path = args.folder / f"dashboard-{name}.png"
            path.write_bytes(png)
            print(f"{path}: {len(png)} bytes")
            if len(png) > BYTES_MAX:
                return f"{path}: more than {BYTES_MAX} bytes; is python3-pil installed?"
    return 0


if __name__ == "__main__":
    sys.exit(main())
