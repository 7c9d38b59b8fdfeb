"""What a faultless product would say, for the tests of the oracle: a dump, lists, dead letters."""

import base64
import collections
import json
import math

import numpy as np

from .dump import read_dump
from .fold import count_of
from .generation import Generation
from .judge import PAYLOAD_MAX, share
from .model import Model
from .observe import Instance, Observed, list_key
from .rules import HALF_LIVES_MS, PAIRS_HALF_LIFE_MS

Record = collections.namedtuple("Record", "partition offset timestamp key value")


def trial_of(name):
    events = 1 + sum(name.encode()) % 37
    return {
        "id": "00000000000000aa", "begun": 5, "events": events, "hits10": 0,
        "hits20": events // 2, "rr": events / 7,
    }


def dump_of(state, topic="t", items_topic="items"):
    """What a faultless product would print of a fold."""
    lines = []
    for name, user in state.users.items():
        interactions = [
            {"item": i, "type": k, "value": v, "ts": ts, "offset": o}
            for ts, o, i, k, v, _ in user.interactions
        ]
        seen = [{"item": item, "types": sorted(types)} for item, types in user.seen.items()]
        version = {"offset": user.wanted_offset, "swap": 1}
        lines.append({
            "user": name, "partition": user.partition, "events": user.events,
            "last_ts": user.last_ts, "forgotten": False, "interactions": interactions,
            "seen": seen, "wanted": version, "acked": version, "list": [], "changed_events": 0,
            "shown": [{"item": i, "count": n, "ts": ts} for i, (n, ts) in user.shown.items()],
            "trial": trial_of(name),
        })
    for partition in state.next_offset:
        counts = [line["trial"] for line in lines if line.get("partition") == partition and "user" in line]
        n, h, r = (np.array([c[key] for c in counts]) for key in ("events", "hits20", "rr"))
        lines.append({
            "trial": "00000000000000aa", "partition": partition, "begun": 0, "touched": 9,
            "users": len(counts), "events": int(n.sum()), "hits10": 0, "hits20": int(h.sum()),
            "rr": r.sum(), "nn": float(n @ n), "nh": float(n @ h), "hh": float(h @ h),
            "nr": n @ r, "r2": r @ r,
        })
    for (partition, item), sums in state.sums.items():
        decayed = {n: sums.decayed(h, sums.ts) for n, h in HALF_LIVES_MS.items()}
        lines.append({
            "sums": item, "partition": partition, "ts": sums.ts, "count": len(sums.times),
            "decayed": decayed,
        })
    for (partition, item), pairs in state.pairs.items():
        neighbours = []
        for other, events in pairs.neighbours.items():
            ts = max(ts for direction in events.values() for ts, _ in direction)
            neighbour = {"item": other, "ts": ts}
            for direction, counted in events.items():
                neighbour[direction] = {
                    name: float(np.float32(count_of(counted, half_life_ms, ts)))
                    for name, half_life_ms in PAIRS_HALF_LIFE_MS.items()
                }
            neighbours.append(neighbour)
        lines.append({
            "pairs": item, "partition": partition, "applied": pairs.applied,
            "neighbours": neighbours,
        })
    for item, said in state.items.items():
        lines.append({
            "item": item, "blocked": said.get("blocked", False),
            "from": said.get("available_from"), "until": said.get("available_until"),
            "title": said.get("title", ""), "categories": said.get("categories", []),
        })
    for partition, next_offset in state.next_offset.items():
        lines.append({
            "topic": topic, "partition": partition, "next_offset": next_offset,
            "stream_ts": state.stream_ts.get(partition), "counters": state.counters[partition],
        })
    for partition, next_offset in state.items_next_offset.items():
        lines.append({
            "topic": items_topic, "partition": partition, "next_offset": next_offset,
            "stream_ts": None, "counters": state.items_counters[partition],
        })
    lines.append({"state": {"format": 3, "epoch": 7, "swap": 1, "generation": 1}})
    return read_dump("\n".join(map(json.dumps, lines)))


def generation(items, rank, seed, **changes):
    factors = np.random.default_rng(seed).normal(size=(len(items), rank)) / math.sqrt(rank)
    manifest = {
        "number": 1, "objective": "ials", "rank": rank, "w0": 0.1, "lambda": 0.02, "alpha": 2.0,
        "lambda_scaling": "count",
        "weights": {"taste": 1.5, "trend": 0.3, "trend_half_life": "1d", "rho": 0.8},
    }
    manifest.update(changes)
    return Generation(manifest, sorted(items, key=str.encode), factors)


class Broker:
    """The logs of topics, as services.Kafka has them; a key always goes to the same partition."""

    def __init__(self, partitions):
        self.partitions = partitions
        self.logs = collections.defaultdict(list)  # topic -> [Record]
        self.ends = collections.Counter()  # (topic, partition)

    def partition_of(self, topic, record):
        if topic.endswith("items"):
            return 0
        return sum(record.key or b"") % self.partitions

    def send(self, records):
        for record in records:
            partition = self.partition_of(record.topic, record)
            offset = self.ends[record.topic, partition]
            self.ends[record.topic, partition] += 1
            self.logs[record.topic].append(
                Record(partition, offset, record.timestamp_ms, record.key, record.value)
            )

    def consume(self, topic):
        return sorted(self.logs[topic], key=lambda record: record[:2])


def _letter(place, entry):
    topic, partition, offset = place
    letter = {
        "reason": entry.what.reason, "topic": topic, "partition": partition, "offset": offset,
        "payload": None,
    }
    if entry.value is not None:
        try:
            letter["payload"] = entry.value[:PAYLOAD_MAX].decode()
        except UnicodeDecodeError:
            del letter["payload"]
            letter["payload_base64"] = base64.b64encode(entry.value[:PAYLOAD_MAX]).decode()
    return Record(0, 0, 0, entry.key, json.dumps(letter).encode())


def list_of(model, name, topic):
    """A user's list in Redis, and the same in the dump."""
    user = model.dump.users[name]
    scores = model.scores(user)
    items = [[model.items[column], float(scores[column])] for column in model.top(scores)]
    user["list"] = [item for item, _ in items]
    return json.dumps({
        "v": model.version(user["partition"], topic), "user": name, "arm": "default",
        "gen": model.hyper["number"], "ts": model.now, "cause": "forced", "items": items,
    }).encode()


def popular_of(model, topic):
    items = sorted({item for _, item in model.dump.sums})
    return json.dumps({
        "v": model.version(0, topic), "user": None, "arm": "default",
        "gen": model.hyper["number"], "ts": model.now, "cause": "sweep",
        "items": [[item, 1.0] for item in items],
    }).encode()


def tombstone(name):
    return json.dumps({"v": "00000007.0000.0000000000000001.00000001", "user": name, "forgotten": True, "items": []}).encode()


def observed_of(broker, ledger, log, state, made, rules, shares):
    """One instance for each set of partitions in `shares`, with the state of all of them and the
    lists of its own."""
    lists = {list_key(name): tombstone(name) for name in state.forgotten}
    instances, popular = [], None
    for number, owned in enumerate(shares):
        dump = dump_of(state, ledger.topic, ledger.item_topic)
        instances.append(Instance(f"instance {number}", dump, set(owned), None))
        model = Model(share(dump, ledger.topic, owned), made, rules)
        for name in model.dump.users:
            lists[list_key(name)] = list_of(model, name, ledger.topic)
        if 0 in owned:
            popular = popular_of(model, ledger.topic)
    return Observed(
        ledger.topic, ledger.item_topic, instances, lists,
        [_letter(place, entry) for place, entry in log.bad.items()],
        dict(state.next_offset), dict(broker.ends), popular,
    )
