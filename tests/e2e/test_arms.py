#!/usr/bin/env python3
"""Arms by settings: who gets whose lists, made by which generation, and what SIGHUP changes."""

from arms import REPLAYED, TRAINED, ArmsTest, own_series
from harness import main, merged

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


if __name__ == "__main__":
    main()
