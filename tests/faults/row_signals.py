"""Row 10: SIGTERM at any moment, twice, with everything down: it exits by its deadline. SIGHUP with
good, bad and unreadable settings: all of it or nothing."""

import os
import random
import signal
import time

import harness
import services
from campaign import Case
from oracle.observe import list_key

RATE = 600
DRAIN_S = 2
LEAVE_S = 10  # what docs/OPERATING.md adds to daemon.drain
MARGIN_S = 5  # for two busy cores
MOMENTS = 6
DRAIN = {"daemon": {"drain": f"{DRAIN_S}s"}}
DRAINED, ABANDONED = 0, 75


def term(freshet, times=1):
    """SIGTERM, by its deadline; the exit status."""
    began = time.monotonic()
    for _ in range(times):
        freshet.process.send_signal(signal.SIGTERM)
        time.sleep(0.05 if times > 1 else 0)  # two signals at once are one
    status = freshet.wait_death("after SIGTERM", DRAIN_S + LEAVE_S + MARGIN_S)
    took = time.monotonic() - began
    assert took < DRAIN_S + LEAVE_S + MARGIN_S, f"it took {took:.1f} s"
    return status


def at_any_moment(world, seed):
    """Also before it listens, and while it trains and swaps."""
    chance = random.Random(seed)
    freshet = world.freshet(settings=DRAIN)
    load = world.load(freshet, seed, None, RATE)
    for _ in range(MOMENTS):
        freshet.start(wait=False)
        time.sleep(chance.choice((0.05, 0.5, 2, 5)) * chance.random())  # the moment
        times = chance.choice((1, 2))
        status = term(freshet, times)
        # Before the handler is there, a SIGTERM is what it is to any process.
        assert status in (DRAINED, ABANDONED, -signal.SIGTERM), f"exit status {status}"
    load.finish()
    world.check(freshet, load)


def own_servers(world):
    kafka = services.Kafka(world.new_folder("own")).start()
    world.add_cleanup(kafka.stop)
    redis = services.Redis(world.new_folder("own")).start()
    world.add_cleanup(redis.stop)
    return kafka, redis


def with_all_down(world, seed):
    """Kafka and Redis say nothing any more, or the disk does: one SIGTERM, and then two."""
    kafka, redis = own_servers(world)
    freshet = world.freshet(settings=DRAIN, kafka=kafka, redis=redis)
    load = world.load(freshet, seed, None, RATE)
    for times in (1, 2):
        freshet.start()
        freshet.wait(lambda s: s["records"]["this_run"] > 500, "it has begun")
        for server in (kafka, redis):
            server.process.send_signal(signal.SIGSTOP)
        try:
            status = term(freshet, times)
        finally:
            for server in (kafka, redis):
                server.process.send_signal(signal.SIGCONT)
        assert status in (DRAINED, ABANDONED), f"exit status {status}"
    load.finish()
    world.check(freshet, load)


def with_a_stuck_disk(world, seed):
    freshet = world.freshet(settings=DRAIN)
    load = world.load(freshet, seed, None, RATE)
    freshet.start("commit.write=stall@5")
    services.wait_until(
        lambda: freshet.log_has("failpoint commit.write: stall"), "the writer is stuck",
        harness.DRAIN_S,
    )
    status = term(freshet)
    assert status == ABANDONED, f"exit status {status}"
    assert freshet.log_has("could not stop by the deadline")
    load.finish()
    world.check(freshet, load)


# ---------------------------------------------------------------- SIGHUP


def hang_up(freshet, said):
    """SIGHUP; what it has said of it by then."""
    before = freshet.log_text().count(said)
    freshet.process.send_signal(signal.SIGHUP)
    services.wait_until(
        lambda: freshet.log_has(said, before + 1), f"it says: {said}", harness.DRAIN_S
    )
    freshet.check_alive()


def list_length(world, freshet):
    """Of the longest list in Redis, after all were published."""
    freshet.ask("publish", "--all")
    keys = [freshet.prefix + list_key(name) for name in freshet.dump().users]
    texts = world.redis.get_all(keys)
    return max(len(harness.json.loads(text)["items"]) for text in texts if text is not None)


def bad_files(freshet):
    """name: how to make the settings file bad, each with a good change beside what is wrong."""
    good = harness.merged(freshet.settings, {"lists": {"n": 7}})

    def write(text):
        return lambda: freshet.config.write_text(text)

    def settings(changes):
        return write(harness.write_yaml(harness.merged(good, changes)) + "\n")

    def directory():
        freshet.config.unlink()
        freshet.config.mkdir()

    def pipe():
        freshet.config.unlink()
        os.mkfifo(freshet.config)

    def cut_short():
        text = harness.write_yaml(good)
        freshet.config.write_text(text[: text.index("dedup_window")])

    return {
        "no YAML": write("lists: {n: 7\n"),
        "cut short": cut_short,
        "nothing": write(""),
        "bytes": lambda: freshet.config.write_bytes(bytes(range(256))),
        "a value out of range": settings({"model": {"rank": 0}}),
        "a key that is none": settings({"lists": {"m": 7}}),
        "a key that needs a restart": settings({"consumer": {"batch_events": 7}}),
        "two arms in control": settings({"arms": {"a": {"control": True}, "b": {"control": True}}}),
        "not there": lambda: freshet.config.unlink(),
        "a directory": directory,
        "a pipe": pipe,
    }


def restore(freshet, settings):
    """The good file again, whatever lies there."""
    if freshet.config.is_dir():
        freshet.config.rmdir()
    elif freshet.config.exists():
        freshet.config.unlink()
    freshet.write(settings)


def hang_ups(world, seed):
    freshet = world.freshet().start()
    load = world.load(freshet, seed, None, RATE)
    freshet.wait_applied(1500)
    length = list_length(world, freshet)
    for n in (length - 3, length - 6):
        freshet.write(harness.merged(freshet.settings, {"lists": {"n": n}}))
        hang_up(freshet, "settings are reloaded")
        assert list_length(world, freshet) == n, "the good settings are not taken"
    good, length = freshet.settings, length - 6
    for name, spoil in bad_files(freshet).items():
        spoil()
        hang_up(freshet, "going on as before")
        restore(freshet, good)
        assert list_length(world, freshet) == length, f"{name}: something of it was taken"
    load.finish()
    world.check(freshet, load)


CASES = [
    Case(10, "sigterm-at-any-moment", at_any_moment),
    Case(10, "sigterm-with-all-down", with_all_down),
    Case(10, "sigterm-with-a-stuck-disk", with_a_stuck_disk, short=True),
    Case(10, "sighup", hang_ups),
]
