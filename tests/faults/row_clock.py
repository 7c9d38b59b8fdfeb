"""Row 9: the clock jumps by a day, either way, while it runs and while it does not.

libfaketime stands between freshet and the clock; what it is told lies in a file that is asked each
time. Nothing in the state or in a list reads the clock, so the oracle needs not know. The monotonic
clock stays what it is, as it does when an operator sets a clock.
"""

import pathlib
import random
import re
import subprocess
import urllib.request

import harness
from campaign import Case

RATE = 600
LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
SHIM = pathlib.Path(__file__).resolve().parent / "clock_shim.c"
DAY_S = 86_400
LEARNED = 800  # events between two jumps
LATE_S = 60  # until what came in meanwhile is answered


class Clock:
    """What time it is for one freshet."""

    def __init__(self, freshet):
        self.file = freshet.folder / "clock"
        shim = freshet.folder / "clock_shim.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, SHIM], check=True)
        self.set(0)
        self.variables = {
            "LD_PRELOAD": f"{shim} {LIBRARY}", "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }

    def set(self, seconds):
        aside = self.file.with_suffix(".new")
        aside.write_text(f"{seconds:+d}\n")
        aside.rename(self.file)


def told_day(freshet):
    """The day of the last line of the log."""
    days = re.findall(r"^\d{4}-\d\d-\d\d(?=T)", freshet.log_text(), re.MULTILINE)
    return days[-1] if days else None


def keeps_up(freshet):
    """It learns and answers what comes, and says so."""
    seen = freshet.status()["records"]["total"]
    freshet.wait(
        lambda s: s["records"]["total"] >= seen + LEARNED and s["redis"]["up"] and s["kafka"]["up"],
        "it goes on learning", LATE_S,
    )
    status = freshet.status()
    lists = status["lists"]["stored"]
    freshet.wait(lambda s: s["lists"]["stored"] > lists, "it goes on publishing", LATE_S)
    with urllib.request.urlopen(f"http://{status['http']}/metrics", timeout=30) as answer:
        assert answer.status == 200


def jumps(world, seed, days):
    freshet = world.freshet()
    clock = Clock(freshet)
    load = world.load(freshet, seed, None, RATE)
    freshet.start(env=clock.variables)
    keeps_up(freshet)
    at_s = 0
    for day in days:
        at_s += day * DAY_S
        clock.set(at_s)
        keeps_up(freshet)
    # Once more over a restart: killed at one time, started at another.
    freshet.kill()
    clock.set(at_s - days[-1] * DAY_S)
    freshet.start(env=clock.variables)
    keeps_up(freshet)
    assert freshet.terminate() == 0
    load.finish()
    world.check(freshet, load)


def forward(world, seed):
    jumps(world, seed, [1])


def back(world, seed):
    jumps(world, seed, [-1])


def to_and_fro(world, seed):
    chance = random.Random(seed)
    jumps(world, seed, [chance.choice((1, -1)) for _ in range(5)])


def is_believed(world, seed):
    """The clock really is another one for freshet: its log says so."""
    freshet = world.freshet()
    clock = Clock(freshet)
    freshet.start(env=clock.variables)
    today = told_day(freshet)
    clock.set(-DAY_S)
    freshet.process.send_signal(harness.signal.SIGHUP)
    freshet.wait(lambda s: told_day(freshet) != today, "its log is of another day")


CASES = [
    Case(9, "clock-is-believed", is_believed),
    Case(9, "clock-a-day-forward", forward),
    Case(9, "clock-a-day-back", back, short=True),
    Case(9, "clock-to-and-fro", to_and_fro),
]
