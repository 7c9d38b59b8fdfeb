"""Row 2: the broker is stopped, started again, slow, silent, gone for minutes; another one leads, or
coordinates the group."""

import random

import brokers
import harness
import services
from campaign import Case

EVENTS, RATE = 5000, 500
AWAY_S, MINUTES_S = 8, 150
IMPATIENT = {
    "kafka": {
        "session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "socket.timeout.ms": "5000",
        "reconnect.backoff.max.ms": "1000",
    }
}


def begin(world, seed, kafka, events=EVENTS, rate=RATE):
    """A freshet under load, a fourth of which it has learned."""
    world.add_cleanup(kafka.stop)
    freshet = world.freshet(kafka=kafka.start(), settings=IMPATIENT).start()
    load = world.load(freshet, seed, events, rate)
    freshet.wait_applied(events // 4)
    return freshet, load


def own(world, **options):
    return brokers.Kafka(world.new_folder("brokers"), **options)


def pass_time(seconds, freshet):
    """The fault itself lasts so long; freshet lives."""
    end = services.time.monotonic() + seconds
    services.wait_until(
        lambda: freshet.check_alive() or services.time.monotonic() > end, "it is over", seconds + 60
    )


def away(world, seed, seconds=AWAY_S):
    """kill -9 of the broker; it comes back as it was."""
    kafka = own(world)
    freshet, load = begin(world, seed, kafka, 2500)
    kafka.kill()
    freshet.wait(lambda s: not s["kafka"]["up"], "says that Kafka is away")
    pass_time(random.Random(seed).uniform(1, seconds), freshet)
    kafka.come_back()
    freshet.wait(lambda s: s["kafka"]["up"], "says that Kafka is back")
    world.check(freshet, load)


def away_untold(world, seed):
    """The same, and nobody says so: librdkafka does not always, and there is nothing to commit."""
    kafka = own(world)
    world.add_cleanup(kafka.stop)
    freshet = world.freshet(kafka=kafka.start(), settings=IMPATIENT).start("kafka.down=error@1+")
    load = world.load(freshet, seed, EVENTS // 4).join()
    freshet.wait_running()
    wait_committed(freshet)
    kafka.kill()
    freshet.wait(lambda s: not s["kafka"]["up"], "says that Kafka is away")
    kafka.come_back()
    freshet.wait(lambda s: s["kafka"]["up"], "says that Kafka is back")
    load = world.start_load(freshet, load.ledger, EVENTS // 4)
    world.check(freshet, load)


def wait_committed(freshet):
    """The group's offsets are the ends of the log."""

    def committed():
        ends = freshet.kafka.log_ends(freshet.topic, freshet.partitions)
        with freshet.kafka.wire() as wire:
            return wire.committed(freshet.group, freshet.topic, freshet.partitions) == ends

    services.wait_until(committed, "all is committed", harness.DRAIN_S)


def minutes(world, seed):
    """Gone for longer than the session and all timeouts; freshet itself is ended and started
    meanwhile, as long as the state is there to say where to go on."""
    kafka = own(world, proxied=True)
    freshet, load = begin(world, seed, kafka)
    kafka.proxy.refuse()
    freshet.wait(lambda s: not s["kafka"]["up"], "says that Kafka is away")
    pass_time(MINUTES_S, freshet)
    assert freshet.terminate() in (0, 75), freshet.process.returncode
    freshet.start(wait=False)
    pass_time(5, freshet)
    kafka.proxy.pass_on()
    freshet.wait_running()
    world.check(freshet, load)


def slow(world, seed):
    """A few kilobytes a second, then as before."""
    kafka = own(world, proxied=True)
    freshet, load = begin(world, seed, kafka)
    kafka.proxy.slow(8000)
    pass_time(20, freshet)
    kafka.proxy.pass_on()
    world.check(freshet, load)


def silent(world, seed):
    """Bytes are dropped in one direction, then in the other, for longer than the session; then what
    is left of the connections is reset."""
    kafka = own(world, proxied=True)
    freshet, load = begin(world, seed, kafka)
    for direction in ("from_server", "to_server"):
        kafka.proxy.half_open(direction)
        freshet.wait(lambda s: not s["kafka"]["up"] or s["assigned"] == 0, "notices")
        kafka.proxy.reset()
        kafka.proxy.pass_on()
        freshet.wait(lambda s: s["kafka"]["up"] and s["assigned"] > 0, "goes on")
    world.check(freshet, load)


def leader(world, seed):
    """Of two brokers that have all records one dies, whose partitions and group are the other's
    then; it comes back, and the other dies."""
    cluster = brokers.Cluster(world.new_folder("brokers"))
    freshet, load = begin(world, seed, cluster)
    for victim in cluster.brokers:
        before = load.produced
        victim.kill()
        services.wait_until(lambda n=before: load.produced >= min(n + 1000, EVENTS), "load", 180)
        freshet.wait_applied(before)
        victim.come_back()
        services.wait_until(
            lambda: whole(cluster, freshet), "both have all records again", harness.DRAIN_S
        )
    world.check(freshet, load)


def whole(cluster, freshet):
    """Both brokers are in the set of replicas in sync of every partition."""
    with cluster.wire() as wire:
        topics = (freshet.topic, freshet.items_topic, "__consumer_offsets")
        return all(len(brokers) == 2 for topic in topics for brokers in wire.in_sync(topic))


CASES = [
    Case(2, "broker-away", away, short=True),
    Case(2, "broker-away-untold", away_untold, short=True),
    Case(2, "broker-gone-for-minutes", minutes),
    Case(2, "broker-slow", slow),
    Case(2, "broker-silent", silent),
    Case(2, "broker-leader-and-coordinator", leader),
]
