#!/usr/bin/env python3
"""Arms by settings: who gets whose lists, made by which generation, and what SIGHUP changes."""

from arms import REPLAYED, TRAINED, ArmsTest, own_series
from harness import main, merged, write_yaml

WIDE = {
    "arms": {
        "control": {"control": True},
        "wide": {"share": 0.5, "model": {"rank": 8, "trend_weight": 0.5}, "lists": {"n": 7}},
    }
}


class ArmsOfUsers(ArmsTest):
    def test_every_list_is_made_by_its_users_arm(self):
        freshet = self.freshet("wide", merged(TRAINED, WIDE)).start()
        self.replay(freshet)
        freshet.wait_generation(2)
        freshet.quiet()
        lists, arm_of = self.lists(freshet), freshet.assignment()
        self.assert_arms_are(lists, arm_of)
        self.assertEqual({arm_of(name) for name in lists}, {"control", "wide"})
        for name, published in lists.items():
            self.assertEqual(len(published["items"]), 7 if arm_of(name) == "wide" else 20, name)

        rows = {arm["name"]: arm for arm in freshet.overview()["arms"]}
        self.assertEqual({name: row["share"] for name, row in rows.items()}, {"control": 0.5, "wide": 0.5})
        for name, row in rows.items():
            self.assertEqual(row["state"], "running", name)
            self.assertGreater(row["generation"], 0, f"{name} was trained")
            self.assertGreater(row["users"], 0, name)
        dump = self.assert_recomputed(freshet, {"wide": own_series(freshet.dump())[0]})
        (key,) = own_series(dump)
        folder = freshet.state_dir / "generations"
        self.assertEqual(len(list((folder / f"{key:016x}").glob("*.gen"))), 1)
        self.assertEqual(len(list(folder.glob("*.gen"))), 1)


class Reloading(ArmsTest):
    """SIGHUP: all or nothing, and no user moves who need not."""

    def running(self, name, settings, limit=REPLAYED):
        freshet = self.freshet(name, merged(TRAINED, settings)).start()
        self.replay(freshet, limit)
        freshet.wait_trained()
        freshet.quiet()
        return freshet

    def check_refused(self, freshet, settings, complaint):
        """Nothing of the file is taken over, and the log says where it is wrong."""
        before, good = self.lists(freshet), freshet.settings
        sent = freshet.status()["lists"]["sent"]
        freshet.hup(settings)
        freshet.wait_logged(complaint)
        freshet.write(good)
        self.assertEqual(self.lists(freshet), before)
        status = freshet.quiet()
        self.assertEqual(status["lists"]["by_cause"]["arms"], 0)
        self.assertEqual(status["lists"]["sent"], sent)
        self.assertEqual(status["generation"]["swaps"], freshet.dump().state["swap"])

    def line_of(self, settings, key):
        lines = write_yaml(settings).splitlines()
        return 1 + next(at for at, line in enumerate(lines) if line.strip().startswith(key))

    def test_a_file_that_cannot_be_taken_over_changes_nothing(self):
        freshet = self.running("refused", WIDE)
        file = str(freshet.config)
        bad = merged(freshet.settings, {"arms": {"wide": {"share": 1.5}}})
        line = self.line_of(bad, "share: 1.5")
        self.check_refused(freshet, bad, f"{file}:{line}: arms.wide.share: ")
        # What is also good in that file is not taken over either.
        elsewhere = merged(
            freshet.settings, {"redis": {"prefix": "other:"}, "arms": {"wide": {"share": 0.1}}}
        )
        line = self.line_of(elsewhere, "prefix:")
        self.check_refused(freshet, elsewhere, f"{file}:{line}: redis.prefix: needs a restart")
        self.assert_arms_are(self.lists(freshet), freshet.assignment())

    def test_a_larger_share_moves_as_many_users_as_it_must(self):
        settings = merged(WIDE, {"arms": {"wide": {"share": 0.2}, "third": {"share": 0.1}}})
        freshet = self.running("larger", settings)
        before, old = self.lists(freshet), freshet.assignment()
        self.assert_arms_are(before, old)
        freshet.reload({"arms": {"wide": {"share": 0.35}}})
        freshet.wait(lambda s: s["lists"]["by_cause"]["arms"] >= len(before), "all sent again")
        status, new = freshet.quiet(), freshet.assignment()
        after = self.lists(freshet)
        self.assert_arms_are(after, new)
        moved = {name for name in before if before[name]["arm"] != after[name]["arm"]}
        self.assertEqual(moved, {name for name in before if old(name) != new(name)})
        self.assertTrue(moved)
        for name in moved:
            self.assertEqual((old(name), new(name)), ("control", "wide"))
        causes = {published["cause"] for published in after.values()}
        self.assertIn("arms", causes)
        self.assertLessEqual(causes, {"arms", "generation"})  # a training may have ended meanwhile
        self.assertEqual(status["lists"]["by_cause"]["arms"], len(before))
        self.assertTrue(all(after[name]["v"] > before[name]["v"] for name in before))
        rows = {arm["name"]: arm["share"] for arm in freshet.overview()["arms"]}
        self.assertEqual(rows, {"control": 0.55, "wide": 0.35, "third": 0.1})
        self.assert_recomputed(freshet, {"wide": own_series(freshet.dump())[0]})

    def test_an_arm_is_removed_and_comes_back(self):
        freshet = self.running("removed", WIDE)
        before, arms = self.lists(freshet), freshet.settings["arms"]
        freshet.reload(without=["wide"])
        freshet.wait(lambda s: s["lists"]["by_cause"]["arms"] >= len(before), "all sent again")
        freshet.quiet()
        lists = self.lists(freshet)
        self.assertEqual({published["arm"] for published in lists.values()}, {"control"})
        self.assertEqual({len(published["items"]) for published in lists.values()}, {20})
        self.assertEqual([arm["name"] for arm in freshet.overview()["arms"]], ["control"])
        freshet.reload({"arms": arms})
        freshet.wait(lambda s: s["lists"]["by_cause"]["arms"] >= 2 * len(before), "all sent again")
        freshet.wait_generation(5)  # control's, the arm's, two changes of arms, the arm's again
        freshet.quiet()
        self.assert_arms_are(self.lists(freshet), freshet.assignment())
        self.assert_recomputed(freshet, {"wide": own_series(freshet.dump())[0]})

    def test_an_arm_may_update_by_steps_and_the_others_by_fold_in(self):
        settings = {"arms": {"control": {"control": True}, "steps": {"share": 0.5}}}
        freshet = self.running("steps", settings)
        count = len(self.lists(freshet))
        freshet.reload({"arms": {"steps": {"model": {"update": "sgd"}}}})
        freshet.wait(lambda s: s["lists"]["by_cause"]["arms"] >= count, "all sent again")
        freshet.quiet()
        self.assert_recomputed(freshet)


class Restarting(ArmsTest):
    def test_nothing_is_published_again_when_nothing_has_changed(self):
        freshet = self.freshet("again", merged(TRAINED, WIDE)).start()
        self.replay(freshet)
        freshet.wait_generation(2)
        freshet.quiet()
        before = self.lists(freshet)
        counted = {arm["name"]: (arm["users"], arm["events"]) for arm in freshet.overview()["arms"]}
        self.assertEqual(freshet.terminate(), 0)
        freshet.start()
        freshet.wait(lambda s: s["assigned"] == 3 and s["uptime_s"] > 3, "it has looked at its arms")
        status = freshet.quiet()
        self.assertEqual(sum(status["lists"]["by_cause"].values()), 0)
        self.assertEqual(self.lists(freshet), before)
        again = {arm["name"]: (arm["users"], arm["events"]) for arm in freshet.overview()["arms"]}
        self.assertEqual(again, counted)
        # What changed while nobody ran is a change, too.
        self.assertEqual(freshet.terminate(), 0)
        freshet.write(merged(freshet.settings, {"arms": {"wide": {"share": 0.4}}}))
        freshet.start()
        freshet.wait(lambda s: s["lists"]["by_cause"]["arms"] >= len(before), "all sent again")
        freshet.quiet()
        self.assert_arms_are(self.lists(freshet), freshet.assignment())


if __name__ == "__main__":
    main()
