"""The lines of `freshet dump --all`."""

import dataclasses
import json


@dataclasses.dataclass
class Dump:
    """The lines of `freshet dump --all`, by kind."""

    users: dict
    sums: dict  # (partition, item) -> line
    pairs: dict  # (partition, item) -> line
    items: dict  # those that something is said of
    partitions: dict  # (topic, partition) -> line
    state: dict
    trials: dict = dataclasses.field(default_factory=dict)  # (partition, name) -> line
    tombstones: dict = dataclasses.field(default_factory=dict)  # of the forgotten whom Redis was told of

    @property
    def now(self):
        """Stream time: the largest over partitions."""
        times = [line["stream_ts"] for line in self.partitions.values()]
        return max((ts for ts in times if ts is not None), default=0)


def _is_tombstone(user):
    """Of a forgotten user, whom Redis was told of: nothing of him, and no event since."""
    kept = any(user[key] for key in ("events", "interactions", "seen", "shown", "list"))
    return user["forgotten"] and not kept and user["acked"]["offset"] >= user["wanted"]["offset"]


def read_dump(text):
    dump = Dump({}, {}, {}, {}, {}, {})
    for line in map(json.loads, text.splitlines()):
        if "user" in line:
            users = dump.tombstones if _is_tombstone(line) else dump.users
            assert line["user"] not in users, f"twice in the dump: {line['user']}"
            users[line["user"]] = line
        elif "sums" in line:
            dump.sums[line["partition"], line["sums"]] = line
        elif "pairs" in line:
            dump.pairs[line["partition"], line["pairs"]] = line
        elif "trial" in line:
            dump.trials[line["partition"], line["trial"]] = line
        elif "topic" in line:
            dump.partitions[line["topic"], line["partition"]] = line
        elif "item" in line:
            dump.items[line["item"]] = line
        elif "state" in line:
            dump.state = line["state"]
        else:
            raise AssertionError(f"a line of no known kind in the dump: {line}")
    return dump
