"""Compares the lists in Redis with those that follow from the state: (c) and (f)."""

import json
import re

from .judge import share
from .model import Model
from .observe import list_key

# epoch.partition.next_offset.swap, first in the list
VERSION = re.compile(rb'^{"v":\s?"[0-9a-f]{8}\.[0-9a-f]{4}\.[0-9a-f]{16}\.[0-9a-f]{8}"')


class Lists:
    """The lists of one instance's users.

    arm_of: a user's arm, or None where there are none. series: {arm: key of its generations}.
    cause: why each was published, where it is known."""

    def __init__(
        self, instance, dump, topic, rules_of, arm_of=lambda name: None, series=None, cause=None
    ):
        self.instance, self.dump, self.topic = instance, dump, topic
        self.rules_of, self.arm_of, self.series = rules_of, arm_of, series or {}
        self.cause = cause
        self.models = {}

    def model(self, arm):
        if arm not in self.models:
            generation = self.instance.generation(self.series.get(arm, 0))
            self.models[arm] = Model(self.dump, generation, self.rules_of(arm))
        return self.models[arm]

    def differences(self, name, text, last_offset=-1):
        """{about: sentences} on the list of a user of this instance.

        last_offset: of the user's last event that wants a list."""
        if text is None:
            return {"lists": [f"{name}: not in Redis"]}
        if not VERSION.search(text):
            return {"lists": [f"{name}: what is there is no list: {text!r:.200}"]}
        arm, user, published = self.arm_of(name), self.dump.users[name], json.loads(text)
        if published.get("forgotten"):
            return {"lists": [f"{name}: has a tombstone, but came back"]}
        model = self.model(arm)
        wrong = self._version_differences(model, name, user, published, last_offset)
        said = {"user": name, "arm": arm or "default", "ts": model.now, "cause": self.cause}
        for key, value in said.items():
            if value is not None and published.get(key) != value:
                wrong.append(f"{name}: {key} is {published.get(key)!r}, want {value!r}")
        items = [item for item, _ in published["items"]]
        if user["list"][: len(items)] != items:
            wrong.append(f"{name}: not the one that the state says was acknowledged")
        if user["wanted"]["offset"] > user["acked"]["offset"]:
            wrong.append(f"{name}: still owed: wanted {user['wanted']}, acked {user['acked']}")
        live = model.hyper["number"] if model.hyper else 0
        if published.get("gen") != live:
            said = [f"{name}: of generation {published.get('gen')}, the live one is {live}"]
            return {"lists": wrong, "generations": said}
        return {"lists": wrong + model.list_differences(name, user, published["items"])}

    def _version_differences(self, model, name, user, published, last_offset):
        want = model.version(user["partition"], self.topic)
        if published["v"] == want:
            return []
        epoch, partition, offset, swap = published["v"].split(".")
        if int(offset, 16) < last_offset + 1:
            return [
                f"{name}: stale: version {published['v']} is older than the user's last offset "
                f"{last_offset} + 1"
            ]
        parts = ("epoch", "partition", "offset", "swap")
        both = zip(parts, (epoch, partition, offset, swap), want.split("."))
        other = [f"{part} {have}, want {wanted}" for part, have, wanted in both if have != wanted]
        return [f"{name}: version {published['v']}: {', '.join(other)}"]


def _forgotten_differences(name, text):
    """A forgotten user has a tombstone, or nothing at all (in a Redis that came back empty)."""
    published = json.loads(text)
    if published.get("forgotten") is True and published["items"] == []:
        return []
    return [f"{name}: was forgotten and has a list: {text!r:.200}"]


def judge_popular(report, observed, owner_of):
    """The popular list is of the epoch, and of no later prefix of partition 0 than was learned: a
    later one would keep its place for ever."""
    owner, text = owner_of.get(0), observed.popular
    if owner is None:
        return
    if text is None or not VERSION.search(text):
        report.find("lists", [f"popular: what is there is no list: {text!r:.200}"])
        return
    published, dump = json.loads(text), owner.dump
    epoch, _, offset, _ = (int(part, 16) for part in published["v"].split("."))
    end = dump.partitions.get((observed.topic, 0), {}).get("next_offset", 0)
    if epoch != dump.state["epoch"] or offset > end:
        report.find("lists", [
            f"popular: version {published['v']}, where epoch {dump.state['epoch']:08x} is learned "
            f"up to offset {end}"
        ])
    if dump.sums and not published["items"]:
        report.find("lists", ["popular: is empty"])


def judge_lists(report, observed, owner_of, state, rules_of, *, shared=None, **arms):
    """Every list, by the share of the state that its instance owns.

    shared: a dump of all partitions, if instances share what they know of items."""
    left = dict(observed.lists)
    for instance in observed.instances:
        owned = {p for p, owner in owner_of.items() if owner is instance}
        dump = share(instance.dump, observed.topic, owned)
        if shared is not None:
            dump.sums, dump.pairs = shared.sums, shared.pairs
        lists = Lists(instance, dump, observed.topic, rules_of, **arms)
        for name in sorted(dump.users):
            want = state.users.get(name)
            last_offset = want.wanted_offset - 1 if want else -1
            found = lists.differences(name, left.pop(list_key(name), None), last_offset)
            for about, wrong in found.items():
                report.find(about, wrong)
            report.lists += 1
    for name in state.forgotten:
        text = left.pop(list_key(name), None)
        if text is not None:
            report.find("lists", _forgotten_differences(name, text))
    report.find("lists", [f"{key}: a list of nobody" for key in left])
