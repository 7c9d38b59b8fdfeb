"""The figures of a running daemon, made again from the lists that were in Redis after each event."""

import json
import pathlib
import random
import sys

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import test_figures as reference  # noqa: E402

SEED = 5
EVENTS = 70
USERS = 4
ITEMS = 16
N = 6
TYPES = {"view": {"weight": 1.0, "hides": False}, "buy": {"weight": 2.0, "hides": True}}


class Reader:
    """A user, as his lists in Redis and his own events have it."""

    def __init__(self):
        self.events, self.list, self.version, self.older = [], None, "", ""
        self.changed_at = 0

    def knows(self, item):
        return any(event["item"] == item for event in self.events)

    def bought(self, item):
        return any(event["item"] == item and event["type"] == "buy" for event in self.events)


class FiguresTest(harness.EndToEnd):
    def next_event(self, draw, readers):
        name = f"u{draw.randrange(USERS)}"
        user = readers.setdefault(name, Reader())
        kind = draw.choice(["view", "view", "buy"])
        event = {"user": name, "type": kind, "item": f"i{draw.randrange(ITEMS):02}", "value": draw.choice([0.5, 1, 4])}
        if user.list is None:
            event["item"] = f"first-{name}"  # in no popular list, whenever that was renewed
        elif user.list and draw.random() < 0.6:
            at = draw.randrange(len(user.list))
            event["item"] = user.list[at]
            if draw.random() < 0.8:
                event["list"] = draw.choice([user.version, user.version, user.older, "no version"])
                event["pos"] = at + draw.choice([1, 1, 1, 2])
        return event

    def attribution(self, event, user):
        if "list" not in event or not event["list"]:
            return "none"
        if event["list"] not in (user.version, user.older):
            return "foreign"
        if event["pos"] <= len(user.list) and user.list[event["pos"] - 1] == event["item"]:
            return "hit"
        return "mismatched" if event["list"] == user.version else "stale"

    def judge(self, event, user, figures):
        rank = reference.rank_in(user.list or [], event["item"])
        figures.event(event, rank, not user.knows(event["item"]), self.attribution(event, user))

    def take(self, published, user, figures):
        items = [item for item, _ in published["items"]]
        self.assertEqual(published["cause"], "event")
        figures.made({"items": items, "explored": 0}, {"new_items": len(items), "fallback": True, "probe": {}})
        if user.list is None:
            figures.first += 1
        else:
            old = user.list
            allowed = [item for item in old if not user.bought(item)]
            same = items == old
            distances = (
                reference.jaccard_distance(old, items, 20), reference.rbo_distance(old, items),
                reference.jaccard_distance(allowed, items, min(20, len(allowed), len(items))),
                reference.rbo_distance(allowed, items),
            )  # fmt: skip
            gone = 0 if same else len(old) - len(allowed)
            figures.rewrite("event", (not same, gone, *((0,) * 4 if same else distances)))
            if not same:
                figures.changes.append(len(user.events) - user.changed_at)
        if items != (user.list or []):
            user.changed_at = len(user.events)
        user.list, user.older, user.version = items, user.version, published["v"]

    def test_the_figures_are_those_of_the_lists_that_were_published(self):
        settings = {"lists": {"n": N}, "monitor": {"chr_min": 1}, "train": {"first_events": 1_000_000}}
        freshet = self.freshet("figures", settings, event_types=TYPES)
        freshet.start()
        draw, readers, figures = random.Random(SEED), {}, reference.Figures()
        for step in range(EVENTS):
            event = self.next_event(draw, readers)
            user = readers[event["user"]]
            self.judge(event, user, figures)
            user.events.append(event)
            self.kafka.produce(freshet.topic, [(event["user"].encode(), json.dumps(event).encode())])
            freshet.wait_drained(step + 1)
            self.take(json.loads(self.redis.get_all([freshet.prefix + event["user"]])[0]), user, figures)
        self.assert_figures(freshet.status(), figures)

    def assert_figures(self, status, figures):
        self.assertEqual([arm["name"] for arm in status["arms"]], ["default"])
        for found in (status, status["arms"][0]):
            churn = figures.churn(found["churn"]["by_cause"], found["churn"]["held"])
            wrong = [*reference.differences(found["churn"], churn, "churn")]
            quality = figures.quality(status["items"])
            del quality["novelty"], quality["diversity"]  # of probed lists alone
            wrong += reference.differences(found["quality"], quality, "quality")
            for key in ("events_to_change", "changes"):
                wrong += reference.differences(found["response"][key], figures.response()[key], key)
            wrong += self.hit_differences(found["hits"], figures)
            self.assertEqual(wrong, [])
            self.assertEqual(found["response"]["event_to_list_ms"]["count"], EVENTS)
        self.assertGreater(min(figures.attribution[name] for name in ("none", "hit", "mismatched", "foreign")), 0)
        self.assertGreater(status["churn"]["gone"], 0)

    def test_a_swap_says_how_far_users_moved_and_probes_what_events_do(self):
        # Taste alone, which weights that are fitted may do without: then all lists are without it.
        taste = {"trend_weight": 0, "together_weight": 0}
        freshet = self.freshet("swaps", {"train": {"first_events": 3000}, "model": taste})
        freshet.start()
        freshet.ask("replay", harness.EVENTS_FILE, "--limit", 6000)
        freshet.wait_generation(1)
        freshet.ask("replay", harness.EVENTS_FILE, "--limit", 9000)
        last = freshet.wait_drained(15000)["generation"]["number"]
        freshet.wait(lambda s: self.stored(freshet) == 15000, "all of it in the state, which training reads")
        freshet.ask("train")
        freshet.wait(lambda s: s["generation"]["number"] > last, "another generation")
        arm = freshet.wait_drained(15000)["arms"][0]
        self.assertEqual((arm["shift"]["from"], arm["shift"]["to"]), (last, last + 1))
        self.assertGreater(arm["shift"]["users"], 0)
        self.assertGreater(arm["shift"]["score_distance"], 0)
        for name in ("gap_closed", "neighbour_lift", "drift"):
            self.assertGreater(arm["response"][name]["count"], 0, name)
        self.assertGreater(arm["churn"]["by_cause"]["generation"]["rewrites"], 0)
        self.assertLess(arm["quality"]["fallback_share"], 1)

    @staticmethod
    def stored(freshet):
        rows = freshet.dump().partitions
        return sum(row["next_offset"] for (topic, _), row in rows.items() if topic == freshet.topic)

    @staticmethod
    def hit_differences(found, figures):
        for scope in ("all", "new"):
            yield from reference.differences(found[scope], figures.counts[scope].of(), scope)
            for kind in TYPES:
                yield from reference.differences(found["by_type"][kind][scope], figures.counts[kind, scope].of(), kind)
        yield from reference.differences(found["attribution"], dict(figures.attribution), "attribution")


if __name__ == "__main__":
    harness.main()
