#!/usr/bin/env python3
"""The dashboard in headless Chromium, on a mock of the daemon.

FRESHET_DASHBOARD_URL=http://127.0.0.1:8080/ test_dashboard.py checks what a running daemon serves instead: what needs no
script of what it answers.
"""

import os
import re
import threading
import unittest

from browser import DEADLINE_S
from checks import DashboardChecks
from mock_daemon import HOSTILE, STEPS, MockDaemon, busy, many, new, nulls, with_stopped_arm

ADDRESS = os.environ.get("FRESHET_DASHBOARD_URL")

# Every timer that is set for a second or more and has not run yet: the page's next question.
WATCH_TIMERS = """
window.timers = new Set();
const {setTimeout: set, clearTimeout: clear} = window;
window.setTimeout = (run, ms, ...rest) => {
  const id = set((...args) => { window.timers.delete(id); run(...args); }, ms, ...rest);
  if (ms >= 1000) window.timers.add(id);
  return id;
};
window.clearTimeout = (id) => { window.timers.delete(id); clear(id); };
"""

HIDE = """
Object.defineProperty(document, "hidden", {configurable: true, get: () => true});
document.dispatchEvent(new Event("visibilitychange"));
"""
SHOW = HIDE.replace("=> true", "=> false")
HIDE_IDLE = "if (window.timers.size !== 1) return null;" + HIDE + "return window.timers.size ? 'one left' : 'none left'"


class OnTheMock(DashboardChecks):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mock = MockDaemon()
        cls.mock.start()
        cls.addClassCleanup(cls.mock.stop)
        cls.url = cls.mock.url

    def setUp(self):
        super().setUp()
        self.mock.overview, self.mock.status = busy, 200

    def show(self, overview, **how):
        self.mock.overview = overview
        self.open(**how)

    def wait_text(self, selector, words):
        self.browser.wait(f"{words} in {selector}", lambda: words in self.browser.text(selector))

    def expect_no_complaint(self, but):
        """`but`: what the browser itself says of a request that fails, which is not ours to prevent."""
        self.assertEqual([said for said in self.browser.complaints() if but not in said], [])


@unittest.skipIf(ADDRESS, "a running daemon is checked")
class TestOnTheMock(OnTheMock, unittest.TestCase):
    def test_an_arm_that_is_stopped_is_shown_with_the_reason_without_a_reload(self):
        self.show(busy)
        self.assertEqual(self.browser.text("#notices"), "")
        self.assertIn("fast-trend is ahead", self.browser.text("#answers"))
        self.mock.overview = with_stopped_arm
        self.wait_text("#notices", "Arm fast-trend is stopped: guard hit20_drop: 15.0% below control, 10.0% allowed")
        row = self.browser.text(".arms tr[data-state=stopped]")
        self.assertRegex(row, r"(?s)fast-trend.*stopped.*guard hit20_drop: 15.0% below control.*−4.61 \(−15.0%\)")
        self.assertIn("fast-trend stopped", self.browser.text("#answers"))

    def test_charts_follow_the_data_and_name_the_generations(self):
        self.show(busy)
        label = lambda: self.browser.attribute("#chart-throughput canvas", "aria-label")  # noqa: E731
        first = label()
        self.assertRegex(first, r"Throughput from \d\d:\d\d to \d\d:\d\d\. Latest: events [\d,]+, lists [\d,]+\.")
        self.assertRegex(first, r"New generations: (\d+ \(control\) at \d\d:\d\d, )+7 \(control\) at \d\d:\d\d")
        self.browser.wait("a new step", lambda: label() != first)

    def test_generations_are_drawn_where_they_came(self):
        self.show(busy)
        drawn = """const c = Chart.getChart(document.querySelector("#chart-lag canvas")); c.draw();
            const x = Math.round(c.scales.x.getPixelForValue(c.generations[0].t)), {top, bottom} = c.chartArea;
            const at = (x) => c.ctx.getImageData(x, top, 1, bottom - top).data.filter((v, i) => i % 4 === 3 && v > 200).length;
            return [at(x), at(x - 4)]"""
        mark, beside = self.browser.run(drawn)
        self.assertGreater(mark, beside + 50)

    def test_what_is_good_is_of_minutes_and_not_of_the_last_step(self):
        last_step_is_bad = busy()
        for name in ("hit20", "churn_rbo"):
            last_step_is_bad["series"][name][-1] = 0
        self.show(lambda: last_step_is_bad)
        figures = self.browser.texts(".figure strong")
        self.assertRegex(figures[1], r"^(29|3\d)\.\d%$")
        self.assertRegex(figures[2], r"^0\.0[4-9]\d$")

    def test_a_hit_rate_is_weighted_by_its_events(self):
        overview = busy()
        steps = len(overview["series"]["t"])
        overview["series"]["hit20"] = [0.5, 0.1] * (steps // 2)
        overview["series"]["events_per_s"] = [300, 100] * (steps // 2)
        self.show(lambda: overview)
        self.assertEqual(self.browser.texts(".figure strong")[1], "40.0%")

    def test_a_line_can_be_switched_off_and_on(self):
        self.show(busy)
        button = "#chart-hits .legend button"
        drawn = "return Chart.getChart(document.querySelector('#chart-hits canvas')).isDatasetVisible(0)"
        for pressed in (False, True):
            self.browser.run("document.querySelector(arguments[0]).click()", button)
            self.assertEqual(self.browser.attribute(button, "aria-pressed"), str(pressed).lower())
            self.assertIs(self.browser.run(drawn), pressed)

    def test_the_table_has_every_step(self):
        frozen = busy()
        self.show(lambda: frozen)  # so that it is not a new step that fills the table
        self.browser.run("document.querySelector('#chart-churn details').open = true")
        rows = "return document.querySelectorAll('#chart-churn tbody tr').length"
        self.browser.wait("all rows", lambda: self.browser.run(rows) == STEPS)

    def test_arms_have_intervals_and_trends_are_beside_them(self):
        self.show(busy)
        words = self.browser.attribute("#chart-arm-intervals canvas", "aria-label")
        self.assertIn("fast-trend 34.0%, 33.2% to 34.8%", words)
        self.assertRegex(words, r"recent items \d+\.\d%; popular items \d+\.\d%")

    def test_a_split_that_is_off_raises_an_alarm(self):
        def off():
            out = busy()
            out["experiment"].update(sample_ratio_alarm=True, sample_ratio_p=0.00002)
            return out

        self.show(off)
        self.assertIn("The split of users is off: p < 0.001", self.browser.text("#notices"))
        self.assertNotIn("is ahead", self.browser.text("#answers"))

    def test_what_is_down_is_said_with_the_reason(self):
        self.show(many)
        self.assertRegex(self.browser.text("#health"), r"Redis\s+■ down\s+127.0.0.1:6379: connection refused, again in 4 s")
        self.assertRegex(self.browser.text("#health"), r"Trainer\s+▲ 3 refused\s+generation 8")
        self.assertIn("Redis is down", self.browser.text("#answers"))

    def test_a_daemon_that_goes_away_is_missed_and_found_again_by_itself(self):
        self.show(busy)
        self.mock.stop()
        try:
            self.wait_text("#connection", "no answer")
            self.assertRegex(self.browser.text("#notices"), r"The daemon does not answer: The figures are of \d\d:\d\d:\d\d\. Asking again every 2 s\.")
            self.assertIn("(no answer)", self.browser.driver.title)
        finally:
            self.mock.start()
        self.wait_text("#connection", "live")
        self.assertEqual(self.browser.text("#notices"), "")
        self.assertEqual(self.browser.driver.title, "Freshet")
        self.expect_no_complaint(but="net::ERR_CONNECTION_REFUSED")

    def test_a_daemon_that_answers_with_an_error_is_not_believed(self):
        self.show(busy)
        self.mock.status = 500
        self.wait_text("#notices", "it says 500 to /api/overview")
        self.mock.status = 200
        self.wait_text("#connection", "live")
        self.expect_no_complaint(but="status of 500")

    def test_a_daemon_that_wants_its_token_is_given_it(self):
        self.show(busy)
        self.mock.status = 401
        self.browser.wait("the question", lambda: self.browser.run("return !document.getElementById('token').hidden"))
        self.browser.driver.find_element("id", "token-text").send_keys("secret\n")
        self.mock.status = 200
        self.wait_text("#connection", "live")
        self.assertEqual(self.mock.authorization, "Bearer secret")
        self.assertTrue(self.browser.run("return document.getElementById('token').hidden"))
        self.browser.run("sessionStorage.clear()")
        self.expect_no_complaint(but="status of 401")

    def test_axe_finds_no_violation_while_the_daemon_is_away_or_wants_its_token(self):
        for status in (500, 401):
            with self.subTest(status=status):
                self.mock.status = 200
                self.show(busy)
                self.mock.status = status
                self.wait_text("#notices", f"it says {status}")
                self.assertEqual(self.browser.axe(), [])

    def test_a_daemon_that_has_just_started_is_shown_without_figures(self):
        for overview in (new, nulls):
            with self.subTest(overview.__name__):
                self.browser.forget()
                self.show(overview)
                self.assertEqual(self.browser.complaints(), [])
                self.assertEqual(self.browser.texts(".figure strong"), ["–"] * 4)
                self.assertRegex(self.browser.text("#health"), r"Generation\s+○ none yet")
                self.assertNotRegex(self.browser.text("body"), re.compile("nan|null|undefined|infinity", re.I))
                self.assertEqual(self.browser.axe(), [])

    def test_names_of_arms_are_text_whatever_is_in_them(self):
        self.show(many)
        self.assertEqual(self.browser.texts(".arm-name")[1:4], HOSTILE)
        self.assertEqual(self.browser.run("return document.querySelectorAll('img, body script').length"), 0)
        self.assertEqual(self.browser.driver.title, "Freshet")
        self.assertEqual(self.browser.complaints(), [])

    def test_sixteen_arms_fit_on_a_phone_and_axe_is_content(self):
        self.show(many, size=(360, 740))
        self.assertEqual(len(self.browser.texts(".arms tbody tr")), 16)
        self.assertEqual(self.browser.overhang(), [0, []])
        self.assertEqual(self.browser.axe(), [])

    def open_counting_timers(self):
        script = self.browser.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_TIMERS)["identifier"]
        self.addCleanup(self.browser.command, "Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        self.show(busy)

    def timers(self):
        return self.browser.run("return window.timers.size")

    def test_it_does_not_ask_while_nobody_looks(self):
        self.open_counting_timers()
        left = self.browser.wait("its next question", lambda: self.browser.run(HIDE_IDLE))
        self.assertEqual(left, "none left")
        asked = self.mock.asked
        self.browser.run(SHOW)
        self.browser.wait("a question at once", lambda: self.mock.asked > asked)
        self.browser.wait("its next question", lambda: self.timers() == 1)

    def test_an_answer_that_comes_when_nobody_looks_any_more_is_the_last(self):
        held, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def slow():
            held.set()
            release.wait(DEADLINE_S)
            return {**busy(), "version": "after hiding"}

        self.open_counting_timers()
        self.mock.overview = slow
        self.assertTrue(held.wait(DEADLINE_S))
        self.browser.run(HIDE)
        release.set()
        self.wait_text("#daemon", "after hiding")
        self.assertEqual(self.timers(), 0)


@unittest.skipUnless(ADDRESS, "FRESHET_DASHBOARD_URL names no daemon")
class TestOnADaemon(DashboardChecks, unittest.TestCase):
    url = ADDRESS


if __name__ == "__main__":
    unittest.main(verbosity=2)
