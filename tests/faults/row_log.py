"""Row 4: the log is not the one that the state knows: it was cut, made anew, has other partitions, or
is another cluster's. Freshet stops and says why; then the way out that it names is taken, to the
letter, and must lead out."""


import group
import harness
import oracle
import services
from campaign import Case
from oracle.log import look
from oracle.sender import send

EVENTS = 1500
REFUSED = 78  # EX_CONFIG: the settings, the state and the log do not fit
SETTINGS = {
    # What nobody wrote to can be noticed only by asking; and a topic that goes takes its time.
    "kafka": {"topic.metadata.refresh.interval.ms": "500", "session.timeout.ms": "6000"},
}


def begin(world, seed):
    """A freshet that has learned EVENTS and sent all lists; and its load. None are bad: dead letters
    of a log that is gone stay."""
    freshet = world.freshet(settings=SETTINGS).start()
    load = world.load(freshet, seed, EVENTS, bad=None, mix=group.MIX).join()
    freshet.wait_generation()
    group.wait_read([freshet])
    return freshet, load


def more(world, freshet, load):
    """EVENTS more of the same ledger are in the log."""
    world.start_load(freshet, load.ledger, EVENTS).join()


def refuses(freshet, *words):
    """It ends by itself and says all of this; what it said."""
    status = freshet.wait_death("the log does not fit")
    said = freshet.log_text().splitlines()
    assert status == REFUSED, f"exit status {status}: {said[-3:]}"
    line = next((line for line in reversed(said) if all(word in line for word in words)), None)
    assert line, f"does not say {words}: {said[-5:]}"
    return line


def start_refused(freshet, *words):
    freshet.log.unlink()
    freshet.start(wait=False)
    return refuses(freshet, *words)


def begin_anew(freshet):
    """The way out."""
    freshet.ask("reset", "--yes", "--drop-generations")
    freshet.start()


def check_what_is_left(world, freshet, load):
    """The oracle, of a ledger of those records that the log has now."""
    ledger, topic = load.ledger, freshet.topic
    there = {(record.key, record.value) for record in freshet.kafka.consume(topic)}
    left = {
        (topic if of == ledger.topic else of, key, value): entry
        for (of, key, value), entry in ledger.entries.items()
        if of != ledger.topic or (key, value) in there
    }
    next(iter(left.values())).numbers.append(ledger.number + 1)  # not each once, in order, any more
    ledger.topic, ledger.partitions, ledger.entries = topic, freshet.partitions, left
    ledger.places.clear()
    group.wait_read([freshet])
    forget_lists(freshet, freshet.dump().users)
    world.check(freshet, load)


def forget_lists(freshet, users):
    """Lists of those whom the log does not make users any more stay until they expire, as OPERATING.md says."""
    redis, prefix = freshet.redis_server, freshet.prefix
    kept = {group.list_key(prefix, user) for user in users}
    kept |= {prefix + name for name in ("popular", "meta", "changes")}
    for key in redis.command("KEYS", prefix + "*"):
        if key.decode() not in kept:
            redis.command("DEL", key)


def cut_below(freshet, share=1.0):
    """Deletes old records of each partition, up to a share of its log; the first offsets left."""
    left = {}
    for partition, end in freshet.kafka.log_ends(freshet.topic, freshet.partitions).items():
        left[partition] = int(end * share)
        with freshet.kafka.wire() as wire:
            wire.delete_records(freshet.topic, partition, left[partition])
    return left


def make_anew(freshet, partitions=None, records=()):
    """The topic is deleted and made again, with these records of it."""
    kafka, partitions = freshet.kafka, partitions or freshet.partitions
    with kafka.wire() as wire:
        wire.delete_topic(freshet.topic)

    def created():
        try:
            kafka.create_topic(freshet.topic, partitions)
            return True
        except (services.kafka_wire.KafkaError, AssertionError):
            return False

    services.wait_until(created, "the topic can be made anew", harness.DRAIN_S)
    copy(kafka, freshet.topic, records)


def copy(kafka, topic, records):
    """Keys, values and timestamps, where a producer would put them."""
    send(kafka.bootstrap, [
        oracle.Produced(topic, record.key, record.value, record.timestamp) for record in records
    ])


# ---------------------------------------------------------------- below the state's offset


def cut_while_away(world, seed):
    """Records that the state never saw are deleted while freshet is away."""
    freshet, load = begin(world, seed)
    freshet.terminate()
    more(world, freshet, load)
    cut_below(freshet)
    more(world, freshet, load)
    start_refused(freshet, "the log begins at offset", "begin anew with `freshet reset`")
    begin_anew(freshet)
    check_what_is_left(world, freshet, load)


def cut_while_it_stands(world, seed):
    """The same while it stands still and its session goes on without it."""
    freshet, load = begin(world, seed)
    freshet.process.send_signal(services.signal.SIGSTOP)
    world.add_cleanup(freshet.process.send_signal, services.signal.SIGCONT)
    more(world, freshet, load)
    cut_below(freshet)
    freshet.process.send_signal(services.signal.SIGCONT)
    refuses(freshet, "begin anew with `freshet reset`")
    begin_anew(freshet)
    more(world, freshet, load)
    check_what_is_left(world, freshet, load)


def cut_behind_it(world, seed):
    """Retention takes what was learned long ago: that is as it should be."""
    freshet, load = begin(world, seed)
    look(load.ledger, freshet.kafka)  # remembers where all were
    cut_below(freshet, 0.9)
    freshet.terminate()
    freshet.start()
    more(world, freshet, load)
    world.check(freshet, load)


# ---------------------------------------------------------------- beyond the end


def anew_while_away(world, seed):
    """The topic is deleted and made anew, shorter than the state: a new state learns it, and its
    lists replace those of the old."""
    freshet, load = begin(world, seed)
    records = freshet.kafka.consume(freshet.topic)
    freshet.terminate()
    make_anew(freshet, records=records[::3])
    start_refused(freshet, "the log ends at offset", "begin anew with `freshet reset`")
    begin_anew(freshet)
    check_what_is_left(world, freshet, load)


def anew_while_it_runs(world, seed):
    freshet, load = begin(world, seed)
    records = freshet.kafka.consume(freshet.topic)
    make_anew(freshet, records=records[::3])
    refuses(freshet, "begin anew with `freshet reset`")
    begin_anew(freshet)
    check_what_is_left(world, freshet, load)


# ---------------------------------------------------------------- another partition count


def other_count_while_away(world, seed):
    freshet, load = begin(world, seed)
    freshet.terminate()
    more_partitions(freshet)
    start_refused(freshet, "was made with 3 partitions", "now there are 5", "a new topic")
    into_a_new_topic(world, freshet, load)


def other_topic_same_group(world, seed):
    """The group knows consumer.instance, and gives it what it had of the old topic."""
    freshet, load = begin(world, seed)
    freshet.terminate()
    old = freshet.settings
    freshet.kafka.create_topic(freshet.topic + "-of-4", 4)
    freshet.write(harness.merged(old, {"consumer": {"topic": freshet.topic + "-of-4"}}))
    freshet.ask("reset", "--yes")
    start_refused(freshet, "partitions of topic", "take another consumer.group")
    freshet.write(old)
    into_a_new_topic(world, freshet, load)


def other_count_while_it_runs(world, seed):
    freshet, load = begin(world, seed)
    more_partitions(freshet)
    refuses(freshet, "has 5 partitions now, it had 3", "a new topic")
    start_refused(freshet, "was made with 3 partitions", "a new topic")
    into_a_new_topic(world, freshet, load)


def more_partitions(freshet):
    with freshet.kafka.wire() as wire:
        wire.create_partitions(freshet.topic, 5)


def into_a_new_topic(world, freshet, load):
    """The way out: the records go into a new topic by key, and a state begins anew with it."""
    records = freshet.kafka.consume(freshet.topic)
    freshet.topic += "-of-5"
    freshet.group += "-of-5"
    freshet.partitions = 5
    freshet.kafka.create_topic(freshet.topic, 5)
    freshet.kafka.create_topic(freshet.topic + ".dead", 1)
    copy(freshet.kafka, freshet.topic, records)
    freshet.write(harness.merged(freshet.settings, {
        "consumer": {"topic": freshet.topic, "group": freshet.group, "create_partitions": 5},
    }))
    begin_anew(freshet)
    check_what_is_left(world, freshet, load)


# ---------------------------------------------------------------- another cluster


def other_cluster(world, seed):
    """The address names another cluster: it stops; with the right one it goes on, and with an empty
    state directory it takes the other."""
    freshet, load = begin(world, seed)
    freshet.terminate()
    right, other = freshet.kafka, services.Kafka(world.new_folder("other")).start()
    world.add_cleanup(other.stop)
    other.create_topic(freshet.topic, freshet.partitions)
    other.create_topic(freshet.items_topic, 1)
    copy(other, freshet.items_topic, right.consume(freshet.items_topic))
    copy(other, freshet.topic, of_every_other_user(right.consume(freshet.topic)))
    go_to(freshet, other)
    start_refused(freshet, "belongs to Kafka cluster", "or begin anew with `freshet reset`")
    go_to(freshet, right)
    freshet.start()
    more(world, freshet, load)
    group.wait_read([freshet])
    freshet.terminate()
    go_to(freshet, other)
    begin_anew(freshet)
    check_what_is_left(world, freshet, load)


def of_every_other_user(records):
    """Whole histories: an impression counts for an item that is known, as by its user's own use."""
    users = sorted({record.key for record in records if record.key})[::2]
    return [record for record in records if record.key in users]


def go_to(freshet, kafka):
    freshet.kafka = kafka
    freshet.write(harness.merged(freshet.settings, {"kafka": {"bootstrap.servers": kafka.bootstrap}}))


CASES = [
    Case(4, "cut-while-away", cut_while_away),
    Case(4, "cut-while-it-stands", cut_while_it_stands),
    Case(4, "cut-behind-it", cut_behind_it),
    Case(4, "topic-anew-while-away", anew_while_away, short=True),
    Case(4, "topic-anew-while-it-runs", anew_while_it_runs),
    Case(4, "other-partition-count-while-away", other_count_while_away),
    Case(4, "other-topic-same-group", other_topic_same_group),
    Case(4, "other-partition-count-while-it-runs", other_count_while_it_runs),
    Case(4, "other-cluster", other_cluster),
]
