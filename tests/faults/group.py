"""Several instances on one group, and the oracle after them."""

import collections
import json
import signal

import campaign
import harness
import oracle
import services

# Which items an instance knows of other partitions, and so which impressions it keeps, depends on
# who had which partition when (docs/ARCHITECTURE.md).
MIX = {"impression": 0, "impression_of_nothing": 0}
# One training, and more when the case asks, so that nothing is trained while the oracle looks.
SETTINGS = {
    "consumer": {"instance": ""},
    "kafka": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"},
    "train": {"every": "30d", "first_events": 1000},
}


def instances(world, count, settings=None, **options):
    """Freshets on the topics, the group and the prefix of the first, which trains for all; none is
    started."""
    settings = harness.merged(SETTINGS, settings or {})
    first = world.freshet(settings=settings, **options)
    shared = {
        "consumer": {
            "topic": first.topic, "items_topic": first.items_topic, "group": first.group,
        },
        "redis": {"prefix": first.prefix},
        "train": {"follow": str(first.state_dir)},
    }
    found = [first]
    for number in range(1, count):
        other = campaign.Freshet(
            world.folder, f"{first.folder.name}-{number}", first.kafka.bootstrap,
            first.redis_server.address,
            harness.merged(campaign.SETTINGS, harness.merged(settings, shared)),
        )
        for name in ("topic", "items_topic", "group", "prefix", "kafka", "redis_server", "partitions"):
            setattr(other, name, getattr(first, name))
        world.freshets.append(other)
        found.append(other)
    return found


def load(world, freshet, seed, events, rate=None, **options):
    return world.load(freshet, seed, events, rate, mix=MIX, **options)


def partitions_of(freshet):
    status = freshet.status()
    return {line["partition"] for line in status["partitions"]} if status else set()


def wait_balanced(freshets):
    """Each partition has one owner among these, and each of these has one."""

    def balanced():
        owned = [partitions_of(freshet) for freshet in freshets]
        total = collections.Counter(partition for share in owned for partition in share)
        wanted = dict.fromkeys(range(freshets[0].partitions), 1)
        return total == wanted and all(owned)

    services.wait_until(balanced, "partitions are spread", harness.DRAIN_S)


def wait_read(freshets):
    """All of the log is learned by whoever has it, and what was owed is sent."""
    first = freshets[0]

    def read():
        ends, at, quiet = first.kafka.log_ends(first.topic, first.partitions), {}, True
        for freshet in freshets:
            freshet.check_alive()
            status = freshet.status()
            if status is None:
                return False
            at |= {line["partition"]: line["next_offset"] for line in status["partitions"]}
            quiet &= status["redis"]["up"] and status["owed"] == 0 and status["queued"] == 0
            quiet &= not status["trainer"]["running"]
        return quiet and at == ends

    services.wait_until(read, "all is learned and sent", harness.DRAIN_S)


def wait_one_generation(freshets):
    """The others have followed the first."""

    def one():
        numbers = {freshet.status()["generation"]["number"] for freshet in freshets}
        return len(numbers) == 1 and 0 not in numbers

    services.wait_until(one, "one generation is live everywhere", harness.DRAIN_S)


def stale_lists(freshets):
    """Sentences on lists in Redis that are older than what the owner of their users knows, without
    anything being published anew first."""
    redis, prefix, wrong, epochs = freshets[0].redis_server, freshets[0].prefix, [], set()
    for freshet in freshets:
        owned, dump = partitions_of(freshet), freshet.dump()
        users = [user for user in dump.users.values() if user["partition"] in owned]
        texts = redis.get_all([list_key(prefix, user["user"]) for user in users])
        for user, text in zip(users, texts):
            if text is None:
                wrong.append(f"{user['user']}: no list")
                continue
            epoch, _, offset, _ = json.loads(text)["v"].split(".")
            epochs.add(int(epoch, 16))
            if int(offset, 16) < user["wanted"]["offset"]:
                wrong.append(f"{user['user']}: {int(offset, 16)} but wanted {user['wanted']}")
        epochs.add(dump.state["epoch"])
    if len(epochs) > 1:
        wrong.append(f"more than one epoch: {epochs}")
    return wrong


def list_key(prefix, user):
    reserved = user in ("popular", "meta", "changes") or user.startswith("user:")
    return prefix + ("user:" if reserved else "") + user


def check(world, freshets, producer):
    """After the load: no list is stale as it is; then the whole oracle. Ends the instances."""
    producer.join()
    wait_read(freshets)
    wait_one_generation(freshets)
    wait_read(freshets)
    stale = stale_lists(freshets)
    report = oracle.check(
        freshets[0], producer.ledger, freshets[0].kafka, freshets[0].redis_server,
        instances=freshets,
    )
    report.find("late", stale)
    for what in ("events", "lost", "doubled", "wrong"):
        world.totals[what] += getattr(report, what)
    if not report.ok:
        raise campaign.Found(str(report))
    return report


def freeze(freshet):
    freshet.process.send_signal(signal.SIGSTOP)


def thaw(freshet):
    freshet.process.send_signal(signal.SIGCONT)
