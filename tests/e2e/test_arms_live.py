#!/usr/bin/env python3
"""Arms over their life: shadows, guards, the experiment's beginning and end, a crash; and what shapes their lists."""

import datetime
import json
import signal
import subprocess

import services
from arms import REPLAYED, TRAINED, ArmsTest
from harness import EVENTS_FILE, main, merged, oracle

WIDE = {"arms": {"control": {"control": True}, "wide": {"share": 0.5, "lists": {"n": 7}}}}
PIECE = 4000  # events replayed before one looks
FEW = 8  # events at once: nearly each has a list of its own
# An arm whose lists are of no use to anybody.
USELESS = {"share": 0.5, "lists": {"n": 1}}


def recorded(limit):
    """The first recorded events: (ts, user, item)."""
    text = subprocess.run(
        f"zstd -dc {EVENTS_FILE} | head -{limit + 1}", shell=True, check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return [(int(row[0]), row[1], row[2]) for row in rows]


def new_to_their_users(events):
    met, new = set(), []
    for ts, user, item in events:
        if (user, item) not in met:
            new.append((ts, user))
        met.add((user, item))
    return new


def utc(ts_ms):
    moment = datetime.datetime.fromtimestamp(ts_ms // 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Shadows(ArmsTest):
    def test_a_shadow_is_measured_and_never_published(self):
        shade = {"share": 0.5, "shadow": True, "lists": {"n": 7}, "model": {"rank": 8}}
        arms = {"arms": {"control": {"control": True}, "shade": shade}}
        freshet = self.freshet("shadow", merged(TRAINED, arms)).start()
        self.replay(freshet)
        freshet.wait_generation(2)
        status = freshet.quiet()
        lists = self.lists(freshet)
        self.assertEqual({published["arm"] for published in lists.values()}, {"control"})
        self.assertEqual({len(published["items"]) for published in lists.values()}, {20})
        keys = {key.decode() for key in self.redis.command("KEYS", f"{freshet.prefix}*")}
        wanted = {freshet.prefix + name for name in [*lists, "popular", "meta", "changes"]}
        self.assertEqual(keys, wanted)
        figures, row = freshet.figures("shade", status), freshet.arm("shade")
        self.assertGreater(figures["quality"]["lists"], 100)
        self.assertGreater(figures["hits"]["new"]["events"], 100)
        self.assertEqual((row["state"], row["share"], row["users"]), ("running", 0.5, None))
        self.assertGreater(row["generation"], 0)
        self.assert_recomputed(freshet)


class Guards(ArmsTest):
    def check_stopped(self, freshet, why):
        """Stopped, for all to see; control has its users; so it stays."""
        freshet.wait_logged("arm bad is stopped: " + why)
        freshet.quiet()
        services.wait_until(
            lambda: {list["arm"] for list in self.lists(freshet).values()} == {"control"},
            "everybody has control's list", 60,
        )
        self.check_row(freshet, why)
        before = self.lists(freshet)
        self.assertEqual(freshet.terminate(), 0)
        freshet.start()
        freshet.wait(lambda s: s["assigned"] == 3 and s["uptime_s"] > 3, "it has looked at its arms")
        status = freshet.quiet()
        self.assertEqual(sum(status["lists"]["by_cause"].values()), 0, "nothing is sent again")
        self.assertEqual(self.lists(freshet), before)
        self.check_row(freshet, why)

    def check_row(self, freshet, why):
        row = freshet.arm("bad")
        self.assertEqual((row["state"], row["share"]), ("stopped", 0))
        self.assertRegex(row["why"], why)
        self.assertEqual(freshet.arm("control")["share"], 1)

    def replay_until_stopped(self, freshet):
        """How many events are evidence enough depends on how soon lists follow them."""
        events = recorded(10 * PIECE)
        for i in range(PIECE, len(events), PIECE):
            first, last = events[i - PIECE][0] if i > PIECE else 0, events[i][0]
            freshet.ask("replay", EVENTS_FILE, "--from", first, "--to", last)
            freshet.wait_drained(sum(event[0] < last for event in events))
            if "arm bad is stopped" in freshet.logged():
                return
        self.fail("all this was not evidence enough: " + json.dumps(freshet.overview()["arms"]))

    def test_an_arm_that_is_worse_is_stopped_by_itself(self):
        bad = merged(USELESS, {"guard": {"hit20_drop": 0.1}})
        freshet = self.freshet("worse", merged(TRAINED, {
            "experiment": {"scale": 0.1},
            "consumer": {"batch_events": FEW},
            "arms": {"control": {"control": True}, "bad": bad, "good": {"share": 0.1}},
        })).start()
        self.replay_until_stopped(freshet)
        self.assertEqual(freshet.arm("good")["state"], "running")
        freshet.quiet()
        freshet.reload(without=["good"])
        self.check_stopped(freshet, r"hit@20 is 0\.\d+, control's 0\.\d+")
        # It is the same experiment, so it stays; another one begins anew.
        freshet.reload({"daemon": {"log_level": "debug"}})
        freshet.wait_logged("settings are reloaded", 1)
        self.assertEqual(freshet.arm("bad")["state"], "stopped")
        freshet.reload({"experiment": {"id": "summer"}})
        freshet.wait_logged("settings are reloaded", 2)
        freshet.quiet()
        row = freshet.arm("bad")
        self.assertEqual((row["state"], row["share"], row["users"]), ("running", 0.5, 0))
        self.assert_arms_are(self.lists(freshet), freshet.assignment())

    def test_an_arm_that_churns_is_stopped_by_itself(self):
        freshet = self.freshet("churning", merged(TRAINED, {
            "consumer": {"batch_events": FEW},
            "arms": {"control": {"control": True}, "bad": {"share": 0.5, "guard": {"churn": 0.0001}}},
        })).start()
        self.replay(freshet)
        self.check_stopped(freshet, r"churn is 0\.\d+ a list, above guard.churn 0.0001")


class Experiments(ArmsTest):
    def test_arms_are_there_between_start_and_end(self):
        events = recorded(REPLAYED)
        start, end = events[2000][0] // 1000 * 1000, events[4000][0] // 1000 * 1000
        freshet = self.freshet("timed", merged(merged(TRAINED, WIDE), {
            "experiment": {"start": utc(start), "end": utc(end)}, "train": {"first_events": 1_000_000},
        })).start()
        before = [event for event in events if event[0] < start]
        middle = [event for event in events if start <= event[0] < end]

        freshet.ask("replay", EVENTS_FILE, "--to", start)
        freshet.wait_drained(len(before))
        overview = freshet.overview()
        self.assertEqual(overview["experiment"]["state"], "waiting")
        self.assertEqual((overview["experiment"]["start"], overview["experiment"]["end"]), (start, end))
        self.assertEqual({arm["events"] for arm in overview["arms"]}, {0})
        self.assertEqual({arm["state"] for arm in overview["arms"]}, {"running", "waiting"})
        self.assertEqual({list["arm"] for list in self.lists(freshet).values()}, {"control"})

        freshet.ask("replay", EVENTS_FILE, "--from", start, "--limit", 1)
        self.wait_state(freshet, "running")
        freshet.quiet()
        self.assert_arms_are(self.lists(freshet), freshet.assignment())
        freshet.ask("replay", EVENTS_FILE, "--from", middle[0][0] + 1, "--to", end)
        taken = len(before) + 1 + len([event for event in middle if event[0] > middle[0][0]])
        freshet.wait_drained(taken)
        self.assert_arms_are(self.lists(freshet), freshet.assignment())
        counted = self.counted(freshet)
        self.assertGreater(min(events for _, events in counted.values()), 100)

        # In one go, beyond the end: nothing more is counted, and what was counted can be read.
        freshet.ask("replay", EVENTS_FILE, "--from", end, "--limit", 1000)
        freshet.wait_drained(taken + 1000)
        self.wait_state(freshet, "ended")
        freshet.quiet()
        self.assertEqual({list["arm"] for list in self.lists(freshet).values()}, {"control"})
        self.assertEqual(self.counted(freshet), counted)
        self.assertEqual(freshet.terminate(), 0)
        freshet.start()
        freshet.wait(lambda s: s["assigned"] == 3 and s["uptime_s"] > 3, "it has looked at its arms")
        status = freshet.quiet()
        self.assertEqual(sum(status["lists"]["by_cause"].values()), 0)
        self.assertEqual(self.counted(freshet), counted)

    def counted(self, freshet):
        services.wait_until(lambda: freshet.status()["uptime_s"] > 2, "it has looked", 60)
        return {arm["name"]: (arm["users"], arm["events"]) for arm in freshet.overview()["arms"]}

    def wait_state(self, freshet, state):
        services.wait_until(
            lambda: freshet.overview()["experiment"]["state"] == state, f"experiment {state}", 60
        )

    def test_a_crash_neither_loses_nor_doubles_what_was_counted(self):
        freshet = self.freshet("crash", merged(TRAINED, WIDE)).start()
        events = recorded(REPLAYED)
        replay = freshet.spawn("replay", EVENTS_FILE, "--limit", REPLAYED, "--rate", 1500)
        for records in (1500, 3000):
            freshet.wait_applied(records)
            freshet.kill()
            freshet.start()
        self.assertEqual(replay.wait(), 0)
        freshet.wait_drained(REPLAYED)
        freshet.quiet()
        arm_of, want = freshet.assignment(), {}
        for _, user in new_to_their_users(events):
            users, count = want.setdefault(arm_of(user), (set(), 0))
            want[arm_of(user)] = (users | {user}, count + 1)
        services.wait_until(lambda: freshet.status()["uptime_s"] > 2, "it has looked", 60)
        for name, (users, count) in want.items():
            row = freshet.arm(name)
            self.assertEqual((row["users"], row["events"]), (len(users), count), name)
        dump = freshet.dump()
        sums = list(dump.trials.values())
        for key in ("events", "hits10", "hits20"):
            held = sum(user["trial"][key] for user in dump.users.values() if user["trial"])
            self.assertEqual(sum(trial[key] for trial in sums), held, key)
        self.assertEqual(oracle.trials_differences(dump), [])
        self.assert_recomputed(freshet)


class Shaping(ArmsTest):
    """What an arm may do to its lists."""

    def model(self, freshet, dump, arm):
        return oracle.Model(dump, oracle.live_generation(dump, freshet.state_dir), freshet.rules(arm))

    def base(self, model, user):
        """The list before anything is drawn, as items."""
        return [model.items[column] for column in model.top(model.scores(user))]

    def test_explored_places_are_logged_with_their_probability(self):
        explore = {"share": 0.5, "slots": 2, "depth": 10, "newest": 50}
        freshet = self.freshet("explore", merged(TRAINED, {
            "explore": explore,
            "arms": {"control": {"control": True}, "tail": {"share": 0.5, "explore": {"from": "tail"}}},
        })).start()
        self.replay(freshet)
        freshet.ask("publish", "--all")
        self.assertEqual(freshet.terminate(), 0)
        dump, arm_of = freshet.dump(), freshet.assignment()
        lists = self.lists(freshet, dump.users)
        models = {arm: self.model(freshet, dump, arm) for arm in ("control", "tail")}
        share = sum("explored" in published for published in lists.values()) / len(lists)
        self.assertLess(abs(share - 0.5), 5 * (0.25 / len(lists)) ** 0.5, f"of {len(lists)} lists")
        for name, published in lists.items():
            user, arm = dump.users[name], arm_of(name)
            model, items = models[arm], [item for item, _ in published["items"]]
            base, drawn = self.base(model, user), published.get("explored", [])
            scores = model.scores(user)
            candidates = sum(score > -1e30 for score in scores) - len(base)
            if arm == "control":
                candidates = min(candidates, 50)
            self.assertIn(len(drawn), (0, 2))
            for place, item, propensity in drawn:
                self.assertEqual(items[place - 1], item)
                self.assertLessEqual(place, 10)
                self.assertNotIn(item, base)
                self.assertGreater(scores[model.column[item]], -1e30)
                self.assertAlmostEqual(propensity, 0.5 * 2 / candidates, delta=1e-6, msg=f"{name} {arm}")
            places = {place for place, _, _ in drawn}
            self.assertEqual(len(places), len(drawn))
            kept = [score for at, (_, score) in enumerate(published["items"]) if at + 1 not in places]
            for score, item in zip(kept, base):
                mine = scores[model.column[item]]
                self.assertTrue(oracle.close(score, mine, 1e-6), f"{name} {item}")
            self.assertEqual(len(items), 20)

    def test_what_was_shown_and_passed_over_sinks(self):
        freshet = self.freshet("shown", merged(TRAINED, {
            "impression": {"max": 50},
            "arms": {"control": {"control": True}, "tired": {"share": 0.5, "impression": {"discount": 0.4}}},
        })).start()
        self.replay(freshet)
        freshet.wait_generation(1)
        freshet.quiet()
        before, arm_of = self.lists(freshet), freshet.assignment()
        names = {arm: [name for name in sorted(before) if arm_of(name) == arm][:5] for arm in ("control", "tired")}
        now = freshet.dump().now
        chosen = [name for arm in names for name in names[arm]]
        shown = {name: before[name]["items"][0][0] for name in chosen}
        self.send(freshet, *[
            {"user": name, "item": shown[name], "type": "impression", "ts": now}
            for name in chosen for _ in range(2)
        ])
        freshet.quiet()
        after = self.lists(freshet, chosen)
        for name in names["control"]:
            self.assertEqual(after[name]["items"], before[name]["items"], name)
        for name in names["tired"]:
            was = dict(map(tuple, before[name]["items"]))[shown[name]]
            have = dict(map(tuple, after[name]["items"])).get(shown[name])
            want = was - abs(was) * (1 - 0.6**2)
            self.assertNotEqual(after[name]["items"][0][0], shown[name], name)
            if have is not None:
                self.assertTrue(oracle.close(have, want, 1e-6), f"{name}: {have}, want {want}")
        for arm, wanted in (("control", False), ("tired", True)):
            answer = json.loads(freshet.ask("explain", names[arm][0], shown[names[arm][0]], "--json"))
            self.assertEqual(answer["arm"], arm)
            self.assertEqual(answer["sums"]["impressions"] < 0, wanted, arm)

    def test_a_list_that_hardly_differs_is_held_back(self):
        freshet = self.freshet("held", merged(TRAINED, {
            **WIDE, "consumer": {"batch_events": FEW}, "publish": {"min_change": 0.999}, "train": {"first_events": 1_000_000},
        })).start()
        self.replay(freshet)
        self.assertGreater(freshet.overview()["totals"]["held"], 100)
        held = freshet.status()["churn"]["held"]["min_change"]
        before, dump = self.lists(freshet), freshet.dump()
        name = max(before, key=lambda name: len(before[name]["items"]))
        other = next(item for item in {i for _, i in dump.sums} if item not in str(before[name]["items"])
                     and item not in str(dump.users[name]["seen"]))
        self.send(freshet, {"user": name, "item": other, "type": "wishlist", "ts": dump.now})
        status = freshet.quiet()
        self.assertEqual(status["churn"]["held"]["min_change"], held + 1)
        self.assertEqual(self.lists(freshet, [name])[name], before[name], "Redis keeps the older list")
        used = before[name]["items"][2][0]
        self.send(freshet, {"user": name, "item": used, "type": "played", "ts": dump.now})
        freshet.quiet()
        after = self.lists(freshet, [name])[name]
        self.assertNotIn(used, [item for item, _ in after["items"]], "what was just used is gone")
        for user in freshet.dump().users.values():
            self.assertLessEqual(user["wanted"]["offset"], user["acked"]["offset"], "nobody is owed")
        # Who gets another arm while nobody runs gets that arm's list, however little it differs.
        self.assertEqual(freshet.terminate(), 0)
        freshet.write(merged(freshet.settings, {"arms": {"wide": {"share": 0.3, "lists": {"n": 19}}}}))
        freshet.start()
        freshet.wait(lambda s: s["lists"]["by_cause"]["arms"] >= len(before), "all sent again")
        freshet.quiet()
        self.assert_arms_are(self.lists(freshet), freshet.assignment())

    def test_quick_events_of_a_user_share_a_list(self):
        freshet = self.freshet("debounce", merged(TRAINED, WIDE)).start()
        self.replay(freshet)
        freshet.wait_generation(1)
        freshet.quiet()
        freshet.reload({"publish": {"debounce": "3s"}})
        freshet.wait_logged("settings are reloaded")
        dump, status = freshet.dump(), freshet.quiet()
        name = sorted(dump.users)[0]
        items = sorted({item for _, item in dump.sums})[:5]
        sent = status["lists"]["by_cause"]["event"]
        for item in items:
            self.send(freshet, {"user": name, "item": item, "type": "played", "ts": dump.now})
        status = freshet.quiet()
        self.assertEqual(status["lists"]["by_cause"]["event"], sent + 1)
        published = self.lists(freshet, [name])[name]
        self.assertFalse(set(items) & {item for item, _ in published["items"]})
        # But who is forgotten is so at once.
        freshet.reload({"publish": {"debounce": "1h"}})
        freshet.wait_logged("settings are reloaded", 2)
        freshet.quiet()
        self.send(freshet, {"user": name, "item": items[0], "type": "played", "ts": dump.now})
        self.send(freshet, {"user": name, "type": "forget_user", "ts": dump.now})
        services.wait_until(
            lambda: self.lists(freshet, [name])[name].get("forgotten"), "a tombstone in Redis", 30
        )


if __name__ == "__main__":
    main()
