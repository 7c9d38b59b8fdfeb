"""How the time of a list grows with items, rank and history: from a user's history to his best 100, one core.

    bench/run.sh growth [--json] [--rounds N] [--axes items rank history] [--plots DIR]

A list is a fold-in of the whole history and the exact top 100 without what the user has had, in blocks of 128 users:
`warm` starts from the list as it was before the latest interaction, `cold` from nothing; `foldin` is that part alone.
Factors are trained by `implicit` on generated ratings of 60,000 users (bench/factors.py), at the first run only;
beside them random ones, which nothing can be expected to shorten. Where an axis is not the one that varies: 20,000
items, rank 64, 50 interactions. An exponent is the slope of a least-squares line through all points in logarithms; one
through the last decade is beside it, since what each list costs anyway flattens the beginning. Three plots are
written to docs/.
"""

import json
import math
import pathlib
import tempfile

import common
import factors
import numpy as np

USERS, ITEMS, RANK, EACH = 512, 20_000, 64, 50
VALUES = {
    "items": [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000],
    "rank": [16, 32, 64, 128, 256],
    "history": [5, 10, 20, 50, 100, 200, 500, 1_000],
}
RUNS = ("warm", "cold", "foldin")
SERIES = {  # name -> what the legend says, colour
    "trained warm": ("warm", "#3182ce"),
    "trained cold": ("cold", "#dd6b20"),
    "trained foldin": ("the fold-in of it", "#38a169"),
    "random warm": ("warm, random factors", "#a17bd0"),
}


def exponent(points):
    """Slope in logarithms."""
    x, y = np.log(np.array(points, float)).T
    return float(np.polyfit(x, y, 1)[0])


def last_decade(points):
    return [p for p in points if p[0] * 10 >= points[-1][0]]


# -- measuring ---------------------------------------------------------------------------------------------------------


def make_driver(folder, kind, items, rank, each):
    if kind == "trained":
        path = factors.for_growth(rank, items) / "Y.f32"
        rows = factors.histories(items, USERS, each)
    else:
        path, draw = folder / "Y.f32", np.random.default_rng(rank)
        draw.standard_normal((items, rank), "f4").tofile(path)
        rows = np.array([draw.choice(items, each, replace=False) for _ in range(USERS)])
    rows.astype("u4").tofile(folder / "histories.u32")
    return common.Driver("growth", path, folder / "histories.u32", rank, items, USERS, each)


def measure(report, options, axis, kind, value, runs):
    """{run: microseconds of a list}"""
    place = {"items": ITEMS, "rank": RANK, "history": EACH} | {axis: value}
    with tempfile.TemporaryDirectory(prefix="freshet-growth-") as folder:
        driver = make_driver(pathlib.Path(folder), kind, place["items"], place["rank"], place["history"])
        results = common.alternate({run: driver.peer(run) for run in runs}, options.rounds)
        driver.close()
    sums = {r["sum"] for run in runs if run != "foldin" for r in results[run]}
    assert len(sums) == 1, "warm and cold lists differ"
    found = {}
    for run in runs:
        cost, spread = common.spread([{"us": r["cpu_ms"] * 1e3 / USERS} for r in results[run]], "us")
        found[run] = cost
        row = {"work": "growth", "axis": axis, "rank": place["rank"], "size": place["items"],
               "history": place["history"], "factors": kind, "run": run, "us_per_list": round(cost, 3),
               "spread": round(spread, 3), "filter": results["warm"][0]["filter"]}
        if options.json:
            print(json.dumps({**row, "machine": report.machine}), flush=True)
        else:
            print(f"growth {axis} {value}, {kind} factors, {run}: {cost:.2f} us a list +-{spread:.0%}, "
                  f"filter {row['filter']}", flush=True)
    return found


def fit(report, options, axis, series):
    """{name: (exponent, exponent of the last decade)}"""
    found = {}
    for name, points in series.items():
        found[name] = exponent(points), exponent(last_decade(points))
        if options.json:
            print(json.dumps({"work": "growth", "axis": axis, "series": name, "exponent": round(found[name][0], 3),
                              "exponent_last_decade": round(found[name][1], 3), "machine": report.machine}), flush=True)
        else:
            print(f"growth with {axis}, {name}: exponent {found[name][0]:.2f}, "
                  f"of the last decade {found[name][1]:.2f}", flush=True)
    return found


# -- drawing -----------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 440, 64, 20, 128, 48
STYLE = """text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-size: 16px; font-weight: 600 }
.grid { stroke: #888; stroke-opacity: .25 } .axis { stroke: #888 } .small { font-size: 12px }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }"""


def scale(low, high, begin, end):
    """Logarithmic."""
    return lambda value: begin + (end - begin) * math.log(value / low) / math.log(high / low)


def bounds(values):
    """1, 2 or 5 times a power of ten, around all values."""
    marks = [m * 10.0**p for p in range(-4, 10) for m in (1, 2, 5)]
    return max(m for m in marks if m <= min(values)), min(m for m in marks if m >= max(values))


def ticks(low, high):
    steps = (1,) if high / low > 1000 else (1, 2, 5)
    return [m * 10.0**p for p in range(-4, 10) for m in steps if low <= m * 10.0**p <= high]


def text(x, y, content, anchor="start", css="", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}"{more}>{content}</text>'


def line(x1, y1, x2, y2, css):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def axes(axis, x_of, y_of, y_low, y_high):
    parts = []
    for value in ticks(y_low, y_high):
        parts.append(line(LEFT, y_of(value), WIDTH - RIGHT, y_of(value), "grid"))
        parts.append(text(LEFT - 8, y_of(value) + 4, f"{value:g}", "end", "small"))
    for value in VALUES[axis]:
        parts.append(line(x_of(value), TOP, x_of(value), HEIGHT - BOTTOM, "grid"))
        parts.append(text(x_of(value), HEIGHT - BOTTOM + 18, f"{value:,}", "middle", "small"))
    parts.append(line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    parts.append(line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "axis"))
    name = {"items": "items", "rank": "rank", "history": "interactions in the history"}[axis]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, name, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(text(16, middle, "CPU time of a list, us", "middle", "", f' transform="rotate(-90 16 {middle})"'))
    return parts


def curve(points, colour, x_of, y_of):
    path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
    dots = [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def plot(path, report, axis, series, exponents):
    values = [y for points in series.values() for _, y in points]
    y_low, y_high = bounds(values)
    x_of = scale(VALUES[axis][0], VALUES[axis][-1], LEFT + 20, WIDTH - RIGHT - 30)
    y_of = scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    others = {"items": f"{ITEMS:,} items", "rank": f"rank {RANK}", "history": f"{EACH} interactions"}
    fixed = ", ".join(label for name, label in others.items() if name != axis)
    parts = [text(LEFT, 24, f"Time of a list (fold-in and exact top 100) against {axis}", css="title"),
             text(LEFT, 42, f"{fixed}; {report.machine['processor']}, one core; both axes logarithmic", css="small")]
    for at, (name, points) in enumerate(series.items()):
        label, colour = SERIES[name]
        y = 62 + 17 * at
        parts += curve(points, colour, x_of, y_of)
        parts.append(f'<rect x="{LEFT}" y="{y - 9}" width="18" height="4" fill="{colour}"/>')
        parts.append(text(LEFT + 26, y - 2, f"{label}: time ~ {axis}^{exponents[name][0]:.2f}, "
                          f"in the last decade ^{exponents[name][1]:.2f}", css="small"))
    parts += axes(axis, x_of, y_of, y_low, y_high)
    body = "\n".join(parts)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
                    f'aria-label="Time of a list against {axis}">\n<style>{STYLE}</style>\n{body}\n</svg>\n',
                    encoding="utf-8")


def main():
    parser = common.options(__doc__.splitlines()[0], rounds=9)
    parser.add_argument("--axes", nargs="+", default=list(VALUES), choices=list(VALUES))
    parser.add_argument("--plots", type=pathlib.Path, default=common.TOP / "docs", help="where growth-AXIS.svg go")
    options = parser.parse_args()
    report = common.Report("growth", options, {"numpy": np.__version__})
    for axis in options.axes:
        series = {}
        for value in VALUES[axis]:
            for kind, runs in (("trained", RUNS), ("random", ("warm",) if axis == "items" else ())):
                for run, cost in (measure(report, options, axis, kind, value, runs) if runs else {}).items():
                    series.setdefault(f"{kind} {run}", []).append((value, cost))
        plot(options.plots / f"growth-{axis}.svg", report, axis, series, fit(report, options, axis, series))


main()
