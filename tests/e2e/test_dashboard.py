#!/usr/bin/env python3
"""The dashboard as the daemon serves it, in headless Chromium, while events stream into several arms."""

import pathlib
import sys

import services
from harness import EVENTS_FILE, EndToEnd, Freshet, main

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "web"))
from browser import DEADLINE_S  # noqa: E402
from checks import DashboardChecks  # noqa: E402

SINCE_MS = 1253166230000  # the recorded events before it are there when somebody looks
FIRST = 6000  # so many they are
EVENTS_PER_S = 300  # while somebody does: the recorded events last for longer than the tests
TRAINED_AT = 4000
STEP_DEADLINE_S = 60  # for what is said each five seconds, or of some hundred lists
ARMS = {
    "control": {"control": True},
    "calm": {"share": 0.3, "publish": {"min_change": 0.01}},
    "nervous": {"share": 0.1, "lists": {"n": 10}, "guard": {"churn": 0.0001}},
    "small": {"share": 0.2, "shadow": True, "model": {"rank": 8}},
}


class DashboardTest(DashboardChecks, EndToEnd):
    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        _, address = cls.start_broker("broker", "web")
        settings = {
            "train": {"first_events": TRAINED_AT}, "experiment": {"id": "e2e"}, "arms": ARMS, "monitor": {"chr_min": 1},
        }
        cls.daemon = Freshet(cls.folder, "web", address, cls.redis.address, settings)
        cls.addClassCleanup(cls.daemon.end)
        cls.daemon.start()
        cls.daemon.ask("replay", EVENTS_FILE, "--to", SINCE_MS)
        cls.daemon.wait_drained(FIRST)
        cls.daemon.wait_generation(2)  # control's and that of "small"
        cls.url = f"http://{cls.daemon.status()['http']}/"
        stream = cls.daemon.spawn("replay", EVENTS_FILE, "--from", SINCE_MS, "--rate", EVENTS_PER_S)
        cls.addClassCleanup(services.stop, stream)

    def setUp(self):
        super().setUp()
        self.freshets.append(self.daemon)
        self.daemon.check_alive()

    def wait_text(self, selector, words, deadline_s=DEADLINE_S):
        self.browser.wait(f"{words} in {selector}", lambda: words in self.browser.text(selector), deadline_s)

    def arm(self, name):
        """The arm's row of the scoreboard, in words."""
        [row] = [row for row in self.browser.texts(".arms tbody tr") if row.startswith(name)]
        return row

    def test_figures_move_as_events_come(self):
        self.open()
        label = lambda: self.browser.attribute("#chart-throughput canvas", "aria-label")  # noqa: E731
        rows = lambda: "\n".join(self.browser.texts(".arms tbody tr"))  # noqa: E731
        first_label, first_rows = label(), rows()
        self.browser.wait("a new step of the charts", lambda: label() != first_label, STEP_DEADLINE_S)
        self.browser.wait("users who were counted", lambda: rows() != first_rows, STEP_DEADLINE_S)
        self.assertEqual(self.browser.complaints(), [])

    def test_an_arm_that_is_stopped_and_resumed_is_shown_without_a_reload(self):
        self.open()
        self.assertRegex(self.arm("calm"), r"calm\s+● running")
        self.daemon.ask("arms", "--stop", "calm")
        self.addCleanup(self.daemon.run, "arms", "--resume", "calm")
        self.wait_text("#notices", "Arm calm is stopped")
        self.assertRegex(self.arm("calm"), r"calm\s+■ stopped")
        self.assertIn("stopped", self.browser.text("#answers"))
        self.daemon.ask("arms", "--resume", "calm")
        self.browser.wait("calm runs again", lambda: "Arm calm" not in self.browser.text("#notices"))
        self.assertRegex(self.arm("calm"), r"calm\s+● running")
        self.assertEqual(self.browser.complaints(), [])

    def test_an_arm_that_broke_its_guard_is_shown_with_the_reason(self):
        self.open()
        self.wait_text("#notices", "Arm nervous is stopped: churn is 0.", STEP_DEADLINE_S)
        self.assertRegex(self.arm("nervous"), r"(?s)nervous\s+■ stopped.*above guard.churn 0.0001")

    def test_a_shadow_arm_is_measured_and_has_no_interval(self):
        self.open()
        self.assertRegex(self.arm("small"), r"small\s+shadow: measured, not published\s+● running\s+20.0%\s+–\s+[1-9]")
        self.assertNotIn(" to ", self.arm("small"))

    def test_generations_of_arms_that_are_trained_apart_are_named(self):
        self.open()
        words = self.browser.attribute("#chart-hits canvas", "aria-label")
        self.assertRegex(words, r"New generations: .*1 \(control, calm, nervous\) at .*")
        self.assertRegex(words, r"1 \(small\) at ")


if __name__ == "__main__":
    main()
