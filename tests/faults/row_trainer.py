"""Row 11: the trainer crashes, hangs, runs out of memory. Lists go on as fast as without it, and it is
told.

The 99th percentile of event to list is compared with that of the same daemon on the same load with no
training: at most twice that. The machine has other things to do than this test, so up to PAIRS pairs
of runs are made, and one that shows it is enough: what the trainer cost would cost it in each.
"""

import math
import pathlib
import re
import resource
import urllib.request

import harness
import services
from campaign import Case

RATE = 800
BEFORE_S = 2  # until connections are up and Redis has most lists: not of the trainer's making
MEASURED_S = 8
FIRST = 4000  # events before: a trainer with nothing to do proves nothing
PAIRS = 4
SLOWER = 2.0
TIMEOUT_S = 4  # of a training
SMALL = 64 << 20  # address space: less than it has when it begins

NEVER = {"train": {"first_events": 1_000_000}}
SOON = {"train": {"first_events": 1000, "every": "1s", "min_events": 1, "timeout": f"{TIMEOUT_S}s"}}


def child_of(pid):
    """The trainer's process id, or None."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def refuse_memory(freshet):
    """The trainer under way may have no more than it has."""
    trainer = services.wait_until(
        lambda: child_of(freshet.process.pid), "a trainer", harness.DRAIN_S, 0.01
    )
    resource.prlimit(trainer, resource.RLIMIT_AS, (SMALL, SMALL))


def metrics(freshet):
    """{name and labels: value}"""
    address = freshet.status()["http"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def latencies(freshet):
    """[(upper bound in s, lists that took at most so long)], ascending."""
    name = "freshet_event_to_list_seconds_bucket"
    counts = {key: value for key, value in metrics(freshet).items() if key.startswith(name)}
    return sorted((float(re.search(r'le="([^"]+)"', key)[1]), value) for key, value in counts.items())


def quantile_ms(before, after, q):
    """Of what came between two looks, as Prometheus' histogram_quantile has it."""
    came = [(bound, late - early) for (bound, late), (_, early) in zip(after, before)]
    lists = came[-1][1]
    assert lists > 0, "no list came"
    low, below = 0, 0
    for bound, count in came:
        if count >= q * lists:
            assert bound < math.inf, f"{lists - below} of {lists} lists took more than {low} s"
            return 1000 * (low + (bound - low) * (q * lists - below) / (count - below))
        low, below = bound, count


def p99_ms(world, freshet, ledger, settings, failpoints=None, trouble=None):
    """Of a daemon that has just begun, once it is at work."""
    freshet.write(harness.merged(freshet.settings, settings))
    freshet.start(failpoints)
    freshet.wait(lambda s: s["kafka"]["lag"] == 0 and s["owed"] == 0, "nothing to catch up")
    load = world.start_load(freshet, ledger, RATE * (BEFORE_S + MEASURED_S), RATE)
    freshet.wait(lambda s: s["records"]["this_run"] >= RATE * BEFORE_S, "it is at work")
    before = latencies(freshet)
    if trouble:
        trouble(freshet)
    load.join()
    freshet.wait(lambda s: s["kafka"]["lag"] == 0 and s["owed"] == 0, "all answered")
    return quantile_ms(before, latencies(freshet), 0.99)


def is_reported(freshet, why):
    """In status, metrics and log; the alert counts what the metric does."""
    status = freshet.wait(lambda s: s["trainer"]["failing"], "the failure is told")
    assert status["trainer"]["failures"] >= 1
    assert any(word in status["trainer"]["why"] for word in why), status["trainer"]
    assert metrics(freshet)["freshet_trainer_failures_total"] >= 1
    assert freshet.log_has("training failed (")


def trainer_fails(world, seed, failpoints, why, trouble=None):
    freshet = world.freshet(settings=NEVER)
    first = world.load(freshet, seed, FIRST, live=True)
    freshet.start()
    freshet.wait_applied(FIRST)
    assert freshet.terminate() == 0
    said = []
    for _ in range(PAIRS):
        without = p99_ms(world, freshet, first.ledger, NEVER)
        assert freshet.terminate() == 0
        beside = p99_ms(world, freshet, first.ledger, SOON, failpoints, trouble)
        is_reported(freshet, why)
        said.append(f"{beside:.1f} ms, without {without:.1f} ms")
        if beside <= SLOWER * without:
            break
        assert freshet.terminate() == 0
    else:
        raise AssertionError(f"p99 of event to list beside the trainer: {said}")
    print(f"    p99 of event to list beside the trainer: {said[-1]}")
    assert freshet.process.poll() is None
    # The live generation stays, here none; and as soon as it can, training works again.
    assert freshet.terminate() == 0
    freshet.write(harness.merged(freshet.settings, {"train": {"timeout": "10m"}}))
    freshet.start()
    freshet.wait_generation(1)
    freshet.write(harness.merged(freshet.settings, NEVER))
    world.check(freshet, first)


def crashes(world, seed):
    trainer_fails(world, seed, "train.finish=kill", ["signal 9"])


def hangs(world, seed):
    trainer_fails(world, seed, "train.finish=stall", ["train.timeout"])


def is_refused_memory(world, seed):
    # It stands still for a moment where it begins, so that the limit comes in time. Signal 11: also
    # the stack may not grow. Status 74: the state could not be mapped.
    why = ["signal 6", "signal 11", "status 74", "status 75"]
    trainer_fails(world, seed, "train.read=stall:1000", why, refuse_memory)


CASES = [
    Case(11, "trainer-crashes", crashes),
    Case(11, "trainer-hangs", hangs, short=True),
    Case(11, "trainer-is-refused-memory", is_refused_memory),
]
