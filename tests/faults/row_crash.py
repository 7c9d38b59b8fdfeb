"""Row 1: kill -9, at random and at every failpoint of base/failpoint.h but kafka.down, where nothing is under way."""

import functools
import random
import signal

import harness
import names
import services
from campaign import Case

EVENTS, RATE = 6000, 1500
WALK_RATE = 500
KILLS = 4
OF_THE_TRAINER = "the trainer: "
# How many times these are passed, at the least, in a run that has begun; others may come but once.
OFTEN = {"commit.put": 100, "publish.list": 100, "publish.answer": 100}
AGAIN = ("learn.", "commit.", "publish.s", "publish.acknowledged", "publish.beat")


def at_random(world, seed):
    chance = random.Random(seed)
    freshet = world.freshet().start()
    load = world.load(freshet, seed, EVENTS, RATE)
    for point in sorted(chance.sample(range(200, EVENTS * 3 // 4), KILLS)):
        freshet.wait_applied(point)
        freshet.kill()
        freshet.start()
    world.check(freshet, load)


# ---------------------------------------------------------------- what makes it come to a failpoint


def lose_redis(world, freshet):
    freshet.wait(lambda s: s["redis"]["up"], "redis up")
    world.redis.command("FLUSHALL")


def reload_settings(world, freshet):
    freshet.wait_running()
    n = 5 + world.numbers["reloads"] % 20
    world.numbers["reloads"] += 1
    freshet.write(harness.merged(freshet.settings, {"lists": {"n": n}}))
    freshet.process.send_signal(signal.SIGHUP)


def rebalance(world, freshet):
    """Somebody else joins the group."""
    freshet.wait(lambda s: s["assigned"] > 0, "partitions")
    command = ["kcat", "-b", freshet.kafka.bootstrap, "-X", "partition.assignment.strategy=range"]
    other = services.spawn([*command, "-G", freshet.group, freshet.topic], freshet.folder / "kcat",
                           stdout=services.subprocess.DEVNULL)
    world.add_cleanup(services.stop, other, signal.SIGKILL)
    return lambda: services.stop(other)


PROVOKED = {
    "publish.lost": lose_redis,
    "reload.": reload_settings,
    "assign.revoke": rebalance,
}


def provoke(world, freshet, name):
    """Whatever `name` needs beside the load; a function that puts it right again."""
    for prefix, how in PROVOKED.items():
        if name.startswith(prefix):
            return how(world, freshet) or (lambda: None)
    return lambda: None


# ---------------------------------------------------------------- the walk


def passage(chance, name):
    most = OFTEN.get(name, 3 if name.startswith(AGAIN) else 1)
    return chance.randint(1, most)


def kill_the_trainer(freshet, name):
    """The trainer dies, the daemon says so and goes on; then it dies, too."""
    failures = freshet.log_text().count("training failed (signal 9)")
    freshet.start(f"{name}=kill")
    services.wait_until(
        lambda: freshet.log_has("training failed (signal 9)", failures + 1),
        f"the trainer dies at {name}", harness.DRAIN_S,
    )
    status = freshet.wait(lambda s: s["trainer"]["failures"] > 0, "the failure is counted")
    assert not status["trainer"]["running"]
    freshet.kill()


def kill_the_daemon(world, freshet, name, count):
    said = freshet.log_text().count(f"failpoint {name}: kill")
    freshet.start(f"{name}=kill@{count}", wait=False)
    put_right = provoke(world, freshet, name)
    status = freshet.wait_death(f"{name}@{count}")
    put_right()
    assert status == -signal.SIGKILL, f"{name}: exit status {status}"
    assert freshet.log_has(f"failpoint {name}: kill", said + 1), f"{name}: died elsewhere"


def walk(world, seed, chosen, events_first=1500, **ledger):
    """Killed at each of the failpoints, one after the other, and started again."""
    chance = random.Random(seed)
    freshet = world.freshet().start()
    load = world.load(freshet, seed, None, WALK_RATE, **ledger)
    freshet.wait_applied(events_first)
    freshet.kill()
    for name in chosen:
        if names.read_table()[name][0].startswith(OF_THE_TRAINER):
            kill_the_trainer(freshet, name)
        else:
            kill_the_daemon(world, freshet, name, passage(chance, name))
    freshet.start()
    load.finish()
    world.check(freshet, load)


def walk_through(family):
    chosen = [name for name in names.read_table() if name.startswith(family + ".")]
    return functools.partial(walk, chosen=chosen)


def a_few(world, seed):
    """For the short campaign: one failpoint of each of the four steps."""
    chance = random.Random(seed)
    families = ("commit.", "swap.", "publish.s", "learn.")
    table = list(names.read_table())
    walk(world, seed, [chance.choice([n for n in table if n.startswith(f)]) for f in families])


FAMILIES = ("learn", "commit", "train", "swap", "publish", "assign", "dead", "reload")
CASES = [
    Case(1, "kill-at-random", at_random),
    Case(1, "kill-at-a-few", a_few, short=True),
    *(Case(1, f"kill-in-{family}", walk_through(family)) for family in FAMILIES),
]
