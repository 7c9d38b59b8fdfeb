"""Row 3: several instances on one group, who come, go, are killed, freeze and train for each other."""

import random
import signal

import group
import harness
import services
from campaign import Case

EVENTS, RATE = 6000, 500
ROUNDS = 5


def storm(world, seed):
    """Instances are killed, ended and started again at random while partitions move."""
    chance = random.Random(seed)
    freshets = group.instances(world, 3)
    for freshet in freshets:
        freshet.start()
    load = group.load(world, freshets[0], seed, EVENTS, RATE)
    for point in sorted(chance.sample(range(EVENTS // 10, EVENTS * 9 // 10), ROUNDS)):
        services.wait_until(lambda point=point: load.produced >= point, "load", harness.DRAIN_S)
        victim = chance.choice(freshets)
        if chance.random() < 0.5:
            victim.kill()
        else:
            victim.terminate()
        victim.start()
    group.wait_balanced(freshets)
    group.check(world, freshets, load)


def moving(world, seed):
    """A partition moves to a new instance, which must rebuild it, and back again."""
    freshets = group.instances(world, 2)
    first, second = freshets
    first.start()
    load = group.load(world, first, seed, 4000)
    load.join()
    first.wait_generation()
    group.wait_read([first])
    before = versions(first)
    second.start()
    group.wait_balanced(freshets)
    group.wait_read(freshets)
    went_back = [user for user, v in versions(first).items() if v < before.get(user, "")]
    assert not went_back, f"lists went back when their users moved: {went_back[:5]}"
    second.kill()
    first.wait(lambda s: s["assigned"] == first.partitions, "all partitions again")
    load = world.start_load(first, load.ledger, 1000)
    load.join()
    group.wait_read([first])
    assert not (stale := group.stale_lists([first])), stale[:5]
    second.start()
    group.wait_balanced(freshets)
    group.check(world, freshets, load)


def versions(freshet):
    """{key: version} of all lists."""
    redis, prefix = freshet.redis_server, freshet.prefix
    keys = redis.command("KEYS", prefix + "*")
    keys = [k for k in keys if k.decode()[len(prefix):] not in ("popular", "meta", "changes")]
    return {key: text[6:45].decode() for key, text in zip(keys, redis.get_all(keys)) if text}


def frozen(world, seed):
    """An instance freezes in the middle of a slate until its session is over and its users' lists
    are another's; then it goes on where it was. It does not give up what it had sent before, or
    it would connect anew and send nothing late."""
    freshets = group.instances(world, 2, {"redis": {"timeout": "60s"}})
    first, second = freshets
    first.start()
    second.start(failpoints="publish.list=stall:1000@300")
    load = group.load(world, first, seed, EVENTS, RATE)
    services.wait_until(
        lambda: second.log_has("failpoint publish.list"), "second publishes", harness.DRAIN_S, 0.01
    )
    group.freeze(second)
    world.add_cleanup(group.thaw, second)
    first.wait(lambda s: s["assigned"] == first.partitions, "all partitions")
    load.join()
    first.wait_generation()
    group.wait_read([first])
    before = versions(first)
    group.thaw(second)
    group.wait_balanced(freshets)
    group.wait_read(freshets)
    went_back = [user for user, v in versions(first).items() if v < before.get(user, "")]
    assert not went_back, f"late writes won: {went_back[:5]}"
    assert second.status()["lists"]["older"] > 0, "there were late writes, and they were refused"
    group.check(world, freshets, load)


def following(world, seed):
    """One trains, the other follows it; says so when it cannot, and goes on when it can again."""
    freshets = group.instances(world, 2)
    first, second = freshets
    for freshet in freshets:
        freshet.start()
    load = group.load(world, first, seed, EVENTS, RATE)
    group.wait_one_generation(freshets)
    generations, away = first.state_dir / "generations", first.state_dir / "away"
    generations.rename(away)
    second.wait(lambda s: str(first.state_dir) in s["follow"]["why"], "says what is missing")
    assert second.status()["generation"]["number"] == 1
    away.rename(generations)
    second.wait(lambda s: s["follow"]["why"] == "", "has nothing to say any more")
    first.ask("train")
    damaged = damage(second, generations / "00000002.gen", random.Random(seed))
    second.wait(lambda s: s["follow"]["why"] == "" and s["generation"]["number"] == 2, "follows")
    assert damaged
    refused = second.run("train")
    assert refused.returncode and "train there" in refused.stderr, refused
    group.check(world, freshets, load)


def damage(follower, path, chance):
    """One more generation, half of which is there as yet, then all of it; whether that was seen."""
    whole = path.read_bytes()
    part = path.with_name("00000003.gen")
    part.write_bytes(whole[: chance.randrange(100, len(whole))])
    try:
        follower.wait(lambda s: "00000003.gen" in s["follow"]["why"], "says what is damaged")
        return True
    finally:
        part.unlink()


def lost_state(world, seed):
    """One of two loses its state: it joins the other's epoch and rebuilds; then both do, while the
    lists in Redis stay: the new ones replace them."""
    freshets = group.instances(world, 2, {"train": {"first_events": 100, "min_events": 10**9}})
    for freshet in freshets:
        freshet.start()
    load = group.load(world, freshets[0], seed, 3000, 1000)
    load.join()
    group.wait_balanced(freshets)
    group.wait_read(freshets)
    epoch = freshets[0].dump().state["epoch"]
    lose_state(freshets[1:])
    group.wait_balanced(freshets)
    group.wait_read(freshets)
    assert {f.dump().state["epoch"] for f in freshets} == {epoch}
    for freshet in freshets:
        freshet.kill()
    lose_state(freshets)
    group.wait_balanced(freshets)
    group.wait_read(freshets)
    assert freshets[0].dump().state["epoch"] > epoch
    group.check(world, freshets, load)


def lose_state(freshets):
    for freshet in freshets:
        if not freshet.is_dead():
            freshet.kill()
        services.subprocess.run(["rm", "-r", freshet.state_dir], check=True)
    for freshet in freshets:
        freshet.start()


def strangers(world, seed):
    """Another deployment is given the prefix of one that is alive: it publishes nothing, says why,
    and does when the other is gone."""
    first = world.freshet()
    second = world.freshet(settings={"redis": {"prefix": first.prefix}})
    second.prefix = first.prefix
    first.start()
    load = group.load(world, first, seed, 2000)
    load.join()
    first.wait_generation()
    group.wait_read([first])
    before = versions(first)
    second.start()
    other = group.load(world, second, seed + 1, 500)
    second.wait(lambda s: "redis.prefix" in s["redis"]["why"], "says whose prefix it is")
    other.join()
    assert versions(first) == before
    first.process.send_signal(signal.SIGTERM)
    second.wait(lambda s: s["redis"]["up"], "the prefix is its own now")


CASES = [
    Case(3, "storm", storm),
    Case(3, "moving", moving),
    Case(3, "frozen", frozen, short=True),
    Case(3, "following", following),
    Case(3, "lost-state", lost_state),
    Case(3, "strangers", strangers),
]
