"""Looks at all that a check compares, after everything has come to rest."""

import dataclasses
import signal
import time
from typing import Callable, Optional

from .dump import Dump
from .generation import live_generation

DRAIN_S = 240  # sanitizers and two busy cores are slow
LETTERS_S = 60
STOP_S = 60
POLL_S = 0.1
OWN_KEYS = ("popular", "meta", "changes")  # under the prefix, of no user
RESERVED = "user:"


@dataclasses.dataclass
class Instance:
    """One freshet at rest."""

    name: str
    dump: Dump
    owns: set  # partitions
    generation: Callable  # (series key) -> the live Generation, or None before the first
    exit_status: Optional[int] = 0


@dataclasses.dataclass
class Observed:
    """All that is compared with the ledger."""

    topic: str
    items_topic: Optional[str]
    instances: list
    lists: dict  # key in Redis without the prefix -> bytes
    letters: list  # Records of the dead-letter topic
    committed: dict  # partition -> the group's offset, -1 for none
    ends: dict  # (topic, partition) -> the log's end
    popular: Optional[bytes] = None  # the popular list


def wait_until(question, what, deadline_s):
    """Asks until the answer is true, and returns it; AssertionError at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(POLL_S)


def _statuses(freshets):
    for freshet in freshets:
        freshet.check_alive()
    return [freshet.status() for freshet in freshets]


def _offsets(status):
    return {line["partition"]: line.get("next_offset", 0) for line in status["partitions"]}


def _is_quiet(status):
    return (
        status["redis"]["up"] and status["owed"] == 0 and status["queued"] == 0
        and not status["trainer"]["running"]
    )


def _drained(freshets, ends):
    """Every instance's status if all was consumed and every list is acknowledged."""
    statuses = _statuses(freshets)
    if any(status is None or not _is_quiet(status) for status in statuses):
        return None
    at = {}
    for status in statuses:
        at |= _offsets(status)
    return statuses if all(at.get(p) == end for p, end in ends.items()) else None


def drain(freshets, ends, deadline_s=DRAIN_S):
    """Waits until the partitions are consumed up to `ends` {partition: offset} and lists are sent;
    every instance's status."""
    try:
        return wait_until(lambda: _drained(freshets, ends), "all consumed and sent", deadline_s)
    except AssertionError as error:
        keys = ("partitions", "records", "owed", "queued", "redis", "kafka", "trainer")
        said = [s and {key: s[key] for key in keys} for s in _statuses(freshets)]
        raise AssertionError(f"{error}: the log ends at {ends}, status {said}") from error


def _wait_items(freshets, topic, end, deadline_s):
    """Every instance reads the items topic whole; status does not say how far."""
    for freshet in freshets:
        def has_all(freshet=freshet):
            line = freshet.dump().partitions.get((topic, 0))
            return end == 0 or (line is not None and line["next_offset"] >= end)
        wait_until(has_all, f"{topic} consumed", deadline_s)



def _letters(kafka, topic, count, deadline_s):
    """The dead-letter topic, when it has `count` letters (a null is none), or at the deadline as it is."""
    end = time.monotonic() + deadline_s
    while True:
        letters = kafka.consume(topic)
        if sum(record.value is not None for record in letters) >= count or time.monotonic() > end:
            return letters
        time.sleep(POLL_S)


def _stop(freshets):
    """SIGTERM to all at once, so that nobody takes over from another; the exit statuses."""
    for freshet in freshets:
        freshet.check_alive()
        freshet.process.send_signal(signal.SIGTERM)
    return [freshet.process.wait(STOP_S) for freshet in freshets]


def _lists(redis, prefix):
    """{key without the prefix: bytes} of all users' lists."""
    keys = [key.decode()[len(prefix):] for key in redis.command("KEYS", prefix + "*")]
    keys = sorted(key for key in keys if key not in OWN_KEYS)
    return dict(zip(keys, redis.get_all([prefix + key for key in keys])))


def list_key(user):
    """Where the list of a user lies, after the prefix."""
    return RESERVED + user if user in OWN_KEYS or user.startswith(RESERVED) else user


def _publish(freshets, ends, deadline_s):
    """All lists are of the generations of now, and none came between; every instance's status."""
    while True:
        before = [freshet.status()["generation"]["swaps"] for freshet in freshets]
        for freshet in freshets:
            freshet.ask("publish", "--all")
        statuses = drain(freshets, ends, deadline_s)
        if [status["generation"]["swaps"] for status in statuses] == before:
            return statuses


def observe(freshets, ledger, log, kafka, redis, *, stop=True, deadline_s=DRAIN_S):
    """Drains, publishes all, and with `stop` ends the instances by SIGTERM; then looks."""
    first = freshets[0]
    ends = kafka.log_ends(ledger.topic, ledger.partitions)
    drain(freshets, ends, deadline_s)
    all_ends = {(ledger.topic, p): end for p, end in ends.items()}
    if ledger.item_topic is not None:
        end = kafka.log_ends(ledger.item_topic, 1)[0]
        all_ends[ledger.item_topic, 0] = end
        _wait_items(freshets, ledger.item_topic, end, deadline_s)
    letters = _letters(kafka, ledger.topic + ".dead", log.bad_count, LETTERS_S)
    statuses = _publish(freshets, ends, deadline_s)  # and nothing is waited for after it
    exits = _stop(freshets) if stop else [0] * len(freshets)
    instances = []
    for freshet, status, exit_status in zip(freshets, statuses, exits):
        dump = freshet.dump()
        instances.append(Instance(
            freshet.folder.name, dump, set(_offsets(status)),
            lambda key=0, dump=dump, at=freshet.state_dir: live_generation(dump, at, key),
            exit_status,
        ))
    with kafka.wire() as wire:
        committed = wire.committed(first.group, ledger.topic, ledger.partitions)
    return Observed(
        ledger.topic, ledger.item_topic, instances, _lists(redis, first.prefix), letters, committed,
        all_ends, redis.command("GET", first.prefix + "popular"),
    )
