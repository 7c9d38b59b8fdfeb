"""What the dashboard must be, whoever serves it: a mixin for unittest.TestCase.

    class TestHere(DashboardChecks, unittest.TestCase):
        url = "http://127.0.0.1:8080/"

`tests/web/test_dashboard.py` uses it on the mock, tests/e2e on a real daemon. The daemon must have one arm at least.
"""

import math

from selenium.webdriver.common.keys import Keys

from browser import DESKTOP, PHONE, Browser

TEXT_TAB_STOPS = 12  # how far a reader tabs at most until the first table of figures


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """WCAG 2.1, 1.4.3: 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


class DashboardChecks:
    url = None  # of the page, with the last slash

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.__exit__)

    def setUp(self):
        self.browser.forget()

    def open(self, theme="light", size=DESKTOP):
        self.browser.resize(size)
        self.browser.prefer(theme)
        self.browser.open(self.url)

    def theme(self):
        return self.browser.attribute("html", "data-theme")

    def colours(self, names):
        script = "const s = getComputedStyle(document.documentElement); return arguments[0].map((n) => s.getPropertyValue(n).trim())"
        return self.browser.run(script, names)

    def test_it_answers_the_four_questions_and_says_how_the_daemon_is(self):
        self.open()
        self.assertEqual(
            self.browser.texts(".answer h3"),
            ["Are the lists fresh?", "Are they good?", "Are they stable?", "Is an arm winning?"],
        )
        self.assertEqual(self.browser.texts("#health h3"), ["Kafka", "Redis", "State", "Trainer", "Generation"])
        self.assertEqual(self.browser.text("#connection"), "live")
        self.assertEqual(self.browser.driver.title, "Freshet")
        self.assertGreaterEqual(len(self.browser.texts(".arms tbody tr")), 1)

    def test_it_goes_on_asking_by_itself(self):
        self.open()
        first = self.browser.text("#as-of")
        self.browser.wait("a later answer", lambda: self.browser.text("#as-of") != first)

    def test_every_chart_says_what_it_shows_and_has_the_numbers_as_a_table(self):
        self.open()
        panels = self.browser.run("return [...document.querySelectorAll('.panel')].map((p) => p.id)")
        self.assertEqual(len(panels), 9)
        for panel in panels:
            self.assertTrue(self.browser.attribute(f"#{panel} canvas", "aria-label"), panel)
            self.browser.run("document.querySelector(arguments[0]).focus()", f"#{panel} summary")
            self.browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
            self.browser.wait("the table", lambda: self.browser.texts(f"#{panel} .scroll thead th"))  # noqa: B023

    def test_nothing_is_complained_of_and_nobody_else_is_asked(self):
        for theme in ("light", "dark"):
            self.open(theme)
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.strangers(self.url), [])

    def test_the_content_policy_is_strict(self):
        self.open()
        policy = self.browser.run(
            "const x = new XMLHttpRequest(); x.open('GET', '/', false); x.send(); return x.getResponseHeader('content-security-policy')"
        )
        rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";") if rule.strip()}
        self.assertEqual(rules["default-src"], ["'none'"])
        for kind in ("script-src", "style-src", "connect-src"):
            self.assertEqual(rules[kind], ["'self'"], kind)

    def test_it_does_not_scroll_sideways_at_360_pixels(self):
        for width in (PHONE[0], 719, 1000, 1279, DESKTOP[0]):
            self.open(size=(width, 800))
            self.assertEqual(self.browser.overhang(), [0, []], f"{width} pixels wide")

    def test_the_theme_is_the_systems_until_one_is_chosen_and_then_stays(self):
        self.open("dark")
        self.assertEqual(self.theme(), "dark")
        self.open("light")
        self.assertEqual(self.theme(), "light")
        self.addCleanup(self.browser.run, "localStorage.clear()")
        for words, theme in (("Theme: light", "light"), ("Theme: dark", "dark")):
            self.browser.run("document.getElementById('theme').click()")
            self.assertEqual((self.browser.text("#theme"), self.theme()), (words, theme))
        self.open("light")
        self.assertEqual((self.browser.text("#theme"), self.theme()), ("Theme: dark", "dark"))

    def test_lines_stand_out_from_their_card_in_both_themes(self):
        names = [f"--series-{i}" for i in range(1, 9)]
        for theme in ("light", "dark"):
            self.open(theme)
            card, *series = self.colours(["--card", *names])
            for name, colour in zip(names, series):
                self.assertGreaterEqual(math.floor(contrast(colour, card) * 100) / 100, 3, f"{name} in the {theme} theme")

    def test_axe_finds_no_violation(self):
        for theme, size in (("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE), ("dark", PHONE)):
            with self.subTest(theme=theme, width=size[0]):
                self.open(theme, size)
                self.assertEqual(self.browser.axe(), [])

    def test_it_can_be_used_with_the_keyboard_alone(self):
        self.open()
        self.browser.run("document.body.focus()")
        reached = []
        for _ in range(TEXT_TAB_STOPS):
            self.browser.driver.switch_to.active_element.send_keys(Keys.TAB)
            reached.append(self.browser.run("const e = document.activeElement; return e.id || e.className || e.tagName"))
        self.assertIn("skip", reached)
        self.assertIn("theme", reached)
        self.assertIn("SUMMARY", reached)

    def test_nothing_moves_for_those_who_asked_for_that(self):
        self.browser.resize(DESKTOP)
        self.browser.prefer("light", motion="reduce")
        self.browser.open(self.url)
        moving = """return [...document.querySelectorAll("*")].filter((e) => {
            const s = getComputedStyle(e); return parseFloat(s.transitionDuration) > 0 || s.animationName !== "none"; }).length"""
        self.assertEqual(self.browser.run(moving), 0)
        self.assertIs(self.browser.run("return Chart.defaults.animation"), False)
