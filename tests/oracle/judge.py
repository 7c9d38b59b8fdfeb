"""Compares what was observed with what follows from the ledger: (a), (b), (d) and (e)."""

import base64
import collections
import json

from .differences import (
    figures_differences, items_differences, partitions_differences, trials_differences,
    users_differences,
)
from .dump import Dump
from .fold import COUNTERS

PAYLOAD_MAX = 64 * 1024


# ---------------------------------------------------------------- whose state counts


def owners(observed, partitions):
    """({partition: its Instance}, sentences on partitions of nobody and of two)."""
    found, wrong = {}, []
    for partition in range(partitions):
        having = [instance for instance in observed.instances if partition in instance.owns]
        if len(having) != 1:
            wrong.append(f"partition {partition} belongs to {[i.name for i in having] or 'nobody'}")
        if having:
            found[partition] = having[0]
    return found, wrong


def share(dump, topic, partitions):
    """What a dump says of some partitions; also of the items topic and of the whole."""
    return Dump(
        {name: user for name, user in dump.users.items() if user["partition"] in partitions},
        {key: line for key, line in dump.sums.items() if key[0] in partitions},
        {key: line for key, line in dump.pairs.items() if key[0] in partitions},
        dump.items,
        {key: line for key, line in dump.partitions.items() if key[0] != topic or key[1] in partitions},
        dump.state,
        {key: line for key, line in dump.trials.items() if key[0] in partitions},
    )


def union(observed, owner_of):
    """One dump of all partitions, each as its present owner has it."""
    whole = Dump({}, {}, {}, {}, {}, {})
    for instance in observed.instances:
        owned = {p for p, owner in owner_of.items() if owner is instance}
        part = share(instance.dump, observed.topic, owned)
        for kind in ("users", "sums", "pairs", "items", "partitions", "trials"):
            getattr(whole, kind).update(getattr(part, kind))
        whole.state = part.state
    return whole


# ---------------------------------------------------------------- (a) the state


def judge_state(report, observed, whole, state):
    report.find("state", [
        *users_differences(whole, state),
        *figures_differences(whole, state),
        *trials_differences(whole),
        *partitions_differences(whole, state, observed.topic),
    ])
    for instance in observed.instances:
        wrong = items_differences(instance.dump, state)
        for partition, want in state.items_next_offset.items():
            line = instance.dump.partitions.get((observed.items_topic, partition))
            if line is None or line["next_offset"] != want:
                wrong.append(f"{observed.items_topic}: want next_offset {want}, have {line}")
        report.find("state", [f"{instance.name}: {sentence}" for sentence in wrong])
    lost_users, doubled_users = _by_users(whole, state)
    lost, doubled = _by_counters(whole, state, observed.topic)
    report.lost += max(lost_users, lost)
    report.doubled += max(doubled_users, doubled)


def _by_users(whole, state):
    """Events that users do not have, or have once too often."""
    lost = doubled = 0
    for name in state.users.keys() | whole.users.keys():
        want, have = state.users.get(name), whole.users.get(name)
        more = (have["events"] if have else 0) - (want.events if want else 0)
        lost, doubled = lost + max(-more, 0), doubled + max(more, 0)
        if more == 0:
            offsets = collections.Counter(entry["offset"] for entry in have["interactions"])
            doubled += sum(count - 1 for count in offsets.values())
            lost += sum(entry[1] not in offsets for entry in want.interactions)
    return lost, doubled


def _by_counters(whole, state, topic):
    """Records that no counter has, or that are in one too many."""
    lost = doubled = 0
    for partition, want in state.counters.items():
        line = whole.partitions.get((topic, partition))
        more = (sum(line["counters"].values()) if line else 0) - sum(want.values())
        lost, doubled = lost + max(-more, 0), doubled + max(more, 0)
    return lost, doubled


# ---------------------------------------------------------------- (b) the counters


def _total(by_partition):
    return sum(map(collections.Counter, by_partition), collections.Counter())


def judge_counters(report, observed, whole, state, ledger, log):
    """applied = produced - duplicates - bad - late - what is no interaction."""
    want = _total(state.counters.values())
    if log.in_order and want != +ledger.intended:
        report.find("ledger", [f"meant {dict(+ledger.intended)}, but its fold has {dict(want)}"])
    have = _total(
        line["counters"] for (topic, _), line in whole.partitions.items() if topic == observed.topic
    )
    wrong = [
        f"{name} is {have[name]}, want {want[name]}" for name in COUNTERS if have[name] != want[name]
    ]
    others = sum(count for name, count in want.items() if name != "applied")
    if have["applied"] != len(log.placed) - others:
        wrong.append(f"applied {have['applied']} of {len(log.placed)} produced, less {others} others")
    report.find("counters", wrong)
    report.counted = have
    want_items = _total(state.items_counters.values())
    for instance in observed.instances:
        line = instance.dump.partitions.get((observed.items_topic, 0))
        have_items = collections.Counter(line["counters"] if line else ())
        if +have_items != want_items:
            report.find("counters", [
                f"{instance.name}: of {observed.items_topic} {dict(+have_items)}, "
                f"want {dict(want_items)}"
            ])


# ---------------------------------------------------------------- (d) dead letters


def judge_letters(report, observed, log):
    at = collections.defaultdict(list)
    for record in observed.letters:
        if record.value is not None:  # a null takes back a forgotten user's
            letter = json.loads(record.value)
            at[letter["topic"], letter["partition"], letter["offset"]].append((record.key, letter))
    missing = sorted(log.bad.keys() - at.keys())
    report.lost += len(missing)
    wrong = [f"none of the bad event at {place}: {log.bad[place].value!r:.80}" for place in missing]
    wrong += [f"{place} was no bad event" for place in sorted(at.keys() - log.bad.keys())]
    for place in log.bad.keys() & at.keys():
        for key, letter in at[place]:
            wrong += [f"{place}: {what}" for what in _letter_differences(key, letter, log.bad[place])]
    report.find("dead letters", wrong)
    report.dead = len(log.bad)
    report.redelivered = sum(len(letters) - 1 for letters in at.values())


def _letter_differences(key, letter, entry):
    wrong = []
    if letter["reason"] != entry.what.reason:
        wrong.append(f"reason {letter['reason']}, want {entry.what.reason}: {entry.value!r:.80}")
    if (key or b"") != (entry.key or b""):
        wrong.append(f"keyed {key!r}, want {entry.key!r}")
    payload = (letter.get("payload") or "").encode()
    if "payload_base64" in letter:
        payload = base64.b64decode(letter["payload_base64"])
    if payload != (entry.value or b"")[:PAYLOAD_MAX]:
        wrong.append(f"payload {payload!r:.80}, want {entry.value!r:.80}")
    return wrong


# ---------------------------------------------------------------- (e) offsets


def judge_offsets(report, observed, whole, partitions):
    """group offset <= state offset <= end of log"""
    wrong = []
    for partition in range(partitions):
        line = whole.partitions.get((observed.topic, partition))
        kept, end = line["next_offset"] if line else 0, observed.ends[observed.topic, partition]
        group = observed.committed.get(partition, -1)
        if group > kept:
            wrong.append(f"partition {partition}: the group is at {group}, the state only at {kept}")
        if kept > end:
            wrong.append(f"partition {partition}: the state is at {kept}, the log ends at {end}")
    for instance in observed.instances:
        line = instance.dump.partitions.get((observed.items_topic, 0))
        end = observed.ends.get((observed.items_topic, 0), 0)
        if line and line["next_offset"] > end:
            wrong.append(
                f"{instance.name}: {observed.items_topic} is at {line['next_offset']}, the log ends "
                f"at {end}"
            )
    report.find("offsets", wrong)
