"""Row 8: ten times the rate for a minute; a loop, a writer and a Redis that stand still; no more
descriptors; and memory that stays under what the settings promise."""

import os
import pathlib
import resource
import threading
import time

import harness
import services
from campaign import Case

RATE = 200
BURST_S = 60
CALM_S = 5

HOT_MIB, PREFETCH_MIB = 2, 4
BOUNDED = {
    "state": {"hot": f"{HOT_MIB}MiB", "commit": "200ms"},
    "kafka": {
        "queued.max.messages.kbytes": str(PREFETCH_MIB << 10), "fetch.message.max.bytes": "262144",
        "fetch.max.bytes": "1048576",
    },
    "train": {"first_events": 2000, "every": "10s", "min_events": 1000},
}
EVERY_MIB = 48  # code's data, stacks, two slates, a generation, figures, the allocator's waste
USERS, ITEMS = 3000, 300


def anonymous_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no RssAnon")


class Watch(threading.Thread):
    """The most memory of its own that a process had."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.1):
            try:
                self.most = max(self.most, anonymous_mib(self.pid))
            except (OSError, AssertionError):
                return

    def end(self):
        self.over.set()
        self.join()
        return self.most


def cap_mib():
    """What the settings promise (docs/OPERATING.md, "Memory").

    Users in memory: state.hot, and what a commit under way holds on to. Prefetch: librdkafka's
    queue, and as much again in replies being read. Co-occurrence: 28 bytes a pair of items and
    partition, in tables at least half full. And what every freshet takes."""
    pairs = 2 * 28 * ITEMS**2 * harness.PARTITIONS / 2**20
    return 2 * HOT_MIB + 2 * PREFETCH_MIB + pairs + EVERY_MIB


def ten_times(world, seed):
    freshet = world.freshet(settings=BOUNDED).start()
    watch = Watch(freshet.process.pid)

    def rate(seconds):
        return 10 * RATE if CALM_S <= seconds < CALM_S + BURST_S else RATE

    events = RATE * (2 * CALM_S + 10 * BURST_S)
    load = world.load(freshet, seed, events, rate, users=USERS, items=ITEMS)
    load.join()
    freshet.wait(
        lambda s: s["kafka"]["lag"] == 0 and s["owed"] == 0, "it has caught up", harness.DRAIN_S
    )
    most = watch.end()
    print(f"    memory of its own: at most {most:.1f} MiB, promised {cap_mib():.1f}")
    assert most < cap_mib(), f"{most:.1f} MiB of its own, promised {cap_mib():.1f}"
    world.check(freshet, load)


# ---------------------------------------------------------------- somebody stands still

STALL_MS = 12_000
# So that a loop that stands still is put out of the group, and what it does then comes too late.
SHORT_SESSION = {"kafka": {
    "session.timeout.ms": "6000", "heartbeat.interval.ms": "1000", "max.poll.interval.ms": "8000",
}}


def stall(world, seed, point, ms=STALL_MS):
    freshet = world.freshet(settings=SHORT_SESSION)
    load = world.load(freshet, seed, None, RATE)
    freshet.start(f"{point}=stall:{ms}@3")
    services.wait_until(
        lambda: freshet.log_has(f"failpoint {point}: stall"), f"{point} stands still",
        harness.DRAIN_S,
    )
    return freshet, load


def stalled_loop(world, seed):
    for index, point in enumerate(("learn.learned", "publish.answer", "commit.settle")):
        freshet, load = stall(world, seed + index, point)
        taken = load.produced
        freshet.wait_applied(taken)
        load.finish()
        world.check(freshet, load)


def stalled_writer(world, seed):
    """A disk that takes its time holds up nothing but durability: lists go on."""
    freshet, load = stall(world, seed, "commit.write", 8000)
    before = freshet.status()
    later = freshet.wait(
        lambda s: s["lists"]["stored"] > before["lists"]["stored"] + 200, "lists go on", 8
    )
    assert later["line"]["commits"] == before["line"]["commits"], "it was the writer that stood still"
    load.finish()
    world.check(freshet, load)


# ---------------------------------------------------------------- no more descriptors


def limit(freshet, descriptors):
    pid = freshet.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors or hard, hard))


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def without_descriptors(world, seed):
    """None is left, while Redis is lost, a trainer is due and people ask."""
    freshet = world.freshet().start()
    load = world.load(freshet, seed, None, RATE)
    freshet.wait_applied(800)
    address = freshet.status()["http"]
    host, port = address.rsplit(":", 1)
    limit(freshet, 3)
    world.redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    asking = [services.socket.create_connection((host, int(port))) for _ in range(5)]
    began, cpu = time.monotonic(), cpu_s(freshet.process.pid)
    services.wait_until(
        lambda: freshet.log_has("training failed ("), "a training could not start", harness.DRAIN_S
    )
    busy = (cpu_s(freshet.process.pid) - cpu) / (time.monotonic() - began)
    freshet.check_alive()
    limit(freshet, None)
    for link in asking:
        link.close()
    print(f"    without descriptors it was busy for {busy:.0%} of a processor")
    assert busy < 0.9, "it turns in circles"
    freshet.wait(lambda s: s["redis"]["up"], "Redis is back")
    load.finish()
    world.check(freshet, load)


CASES = [
    Case(8, "ten-times-the-rate", ten_times),
    Case(8, "stalled-loop", stalled_loop),
    Case(8, "stalled-writer", stalled_writer),
    Case(8, "without-descriptors", without_descriptors, short=True),
]
