#!/usr/bin/env python3
"""How long a freshet with many users of state needs after kill -9.

    FRESHET_BIN=build/freshet python3 bench/recovery.py [--users N] [--events N] [--kills N]

Apache Kafka and Redis on free ports, three partitions. `--events` events are made, at least one a
user, replayed and learned with Redis away (so that the state is built as fast as it is learned);
then Redis comes, and the daemon is killed under load and started again. Said of each kill, in
seconds after the new process was started: until it answers and has its partitions, until it has
learned a record, until Redis has a list of it, and until it has caught up with the log.
"""

import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "tests" / name) for name in ("faults", "e2e", "")]

# pylint: disable=wrong-import-position
import campaign
import services

ITEMS = 20_000
PACE = 1000  # events a second, when it is killed
SETTINGS = {
    "consumer": {"instance": "recovery"},
    "history": {"max": 200, "seen_max": 1000, "dedup_window": 100, "neighbours": 64},
    "state": {"commit": "1s", "hot": "256MiB"},
    "train": {"first_events": 1_000_000_000},
    "lists": {"n": 100, "active": "1s", "sweep": "0s"},
    "impression": {"max": 0},
}


def write_events(path, users, events, seed):
    """Every user once, then whoever it is, at a second's distance."""
    draw, now_s = random.Random(seed), int(time.time()) - events
    with open(path, "w", encoding="utf-8") as out:
        out.write("ts_ms\tuser\titem\tevent\tvalue\n")
        for number in range(events):
            user = number if number < users else draw.randrange(users)
            item = int(ITEMS * draw.random() ** 2)
            out.write(f"{(now_s + number) * 1000}\tu{user}\ti{item}\tplayed\t1\n")


def wait(freshet, question, what):
    """Seconds until it is so; asked without a pause, for these are short."""
    began = time.monotonic()

    def ask():
        freshet.check_alive()
        status = freshet.status()
        return status if status and question(status) else None

    services.wait_until(ask, what, 3600, 0.01)
    return time.monotonic() - began


def build(freshet, path, events):
    freshet.redis_server.kill()
    freshet.start()
    replay = freshet.spawn("replay", path)
    took = wait(freshet, lambda s: s["records"]["total"] >= events, "all learned")
    assert replay.wait() == 0
    assert freshet.terminate() in (0, 75)  # 75: the last commit was too large for the deadline
    freshet.redis_server.start()
    return took


def kill(freshet, number):
    freshet.kill()
    began = time.monotonic()
    freshet.start(wait=False)
    said = []
    for what, question in (
        ("answers, with its partitions", lambda s: s["assigned"] > 0),
        ("learned a record", lambda s: s["records"]["this_run"] > 0),
        ("published a list", lambda s: s["lists"]["stored"] > 0),
        ("caught up", lambda s: s["kafka"]["lag"] == 0 and s["queued"] == 0),
    ):
        wait(freshet, question, what)
        said.append(f"{what} {time.monotonic() - began:.2f} s")
    print(f"kill {number}: {', '.join(said)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    world = campaign.World(tempfile.mkdtemp(prefix="freshet-recovery-"))
    try:
        path = world.folder / "events.tsv"
        write_events(path, options.users, options.events, options.seed)
        freshet = world.freshet("recovery", SETTINGS)
        took = build(freshet, path, options.events)
        size = sum(file.stat().st_blocks for file in freshet.state_dir.glob("data.mdb")) / 2048
        print(f"{options.users} users, {options.events} events learned in {took:.0f} s; "
              f"state {size:.0f} MiB", flush=True)
        load = world.load(freshet, options.seed, None, PACE, live=True, users=options.users, bad=None)
        freshet.start()
        for number in range(1, options.kills + 1):
            wait(freshet, lambda s: s["records"]["this_run"] > 3000, "under load")
            kill(freshet, number)
        load.finish()
        assert freshet.terminate() == 0
    finally:
        world.end_case()
        world.end()
        shutil.rmtree(world.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
