#!/usr/bin/env python3
"""What is exported against what reads it: docs/METRICS.md, the alert rules, Grafana's board.

Names and labels in every expression must be in the binary's own table, and promtool must parse it.
"""

import collections
import json
import pathlib
import re
import tempfile
import unittest

import yaml

import exported
from exported import ROOT, promtool

HERE = pathlib.Path(__file__).resolve().parent
CONFIGS = ROOT / "configs"
ALERTS = CONFIGS / "alerts.yml"
BOARD = CONFIGS / "grafana" / "freshet.json"

# What Prometheus adds itself.
TARGET_LABELS = {"job", "instance"}
OWN_SERIES = {"up": ()}

# Grafana's variables, as it would put them in.
VARIABLES = {
    "$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h",
    "$instance": ".*", "$arm": ".*",
}
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?(?=(.?))")
MATCHER = re.compile(r"\s*(\w+)\s*(?:=~|!~|!=|=)")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
KEYWORDS = {"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring"}


def label_list(text):
    return {label.strip() for label in text.split(",") if label.strip()}


def selectors(expression):
    """[(series, labels in its braces)] of an expression, and the labels it groups by."""
    bare = STRING.sub('""', expression)
    grouped = set().union(*[label_list(text) for text in GROUPING.findall(bare)])
    bare = re.sub(r"\[[^\]]*\]", "", GROUPING.sub(" ", bare))
    bare = re.sub(r"\boffset\s+\w+", "", bare)
    found = []
    for match in SELECTOR.finditer(bare):
        name, matchers = match.group(1), match.group(2)
        called = bare[match.end():].lstrip().startswith("(")
        if called or name in KEYWORDS or bare[: match.start()].count("{") > bare[
            : match.start()
        ].count("}"):
            continue
        found.append((name, set(MATCHER.findall(matchers or ""))))
    return found, grouped


def complaints(expression, series):
    """What an expression asks for that nobody exports."""
    found, grouped = selectors(expression)
    known = set(TARGET_LABELS)
    wrong = [] if found else [f"no series in: {expression}"]
    for name, labels in found:
        if name not in series:
            wrong.append(f"no such series: {name}")
            continue
        known |= set(series[name])
        strange = labels - set(series[name]) - TARGET_LABELS
        wrong += [f"{name} has no label {label}" for label in sorted(strange)]
    return wrong + [f"nothing has a label {label}" for label in sorted(grouped - known)]


def board_expressions():
    """Every query of the board, variables put in, with the place it stands at."""
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    queries = [("annotation " + a["name"], a["expr"]) for a in board["annotations"]["list"]]
    for variable in board["templating"]["list"][1:]:  # label_values(SERIES, LABEL)
        inside = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        queries.append(("variable " + variable["name"], "sum by ({1}) ({0})".format(*inside.groups())))
    for panel in board["panels"]:
        queries += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    for place, query in queries:
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)
        yield place, query


def rules():
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


class CheckerTest(unittest.TestCase):
    """The checker below is one itself: it must see what is wrong."""

    SERIES = {"a_total": ("arm",), "b_bucket": ("arm", "le")}

    def test_checker_passes_what_is_exported(self):
        for good in (
            'a_total', 'rate(a_total{arm="{x}", job=~"f"}[5m] offset 1h) > 2.5e3',
            "histogram_quantile(0.9, sum by (le, instance) (rate(b_bucket[5m])))",
            "a_total and on (arm) b_bucket or absent(a_total)",
        ):
            self.assertEqual(complaints(good, self.SERIES), [], good)

    def test_checker_sees_what_is_not_exported(self):
        for bad in (
            "c_total", "sum(rate(c_total[5m]))", 'a_total{le="1"}', "sum by (cause) (a_total)",
            "a_total / on (k) b_bucket", "1 + 1",
        ):
            self.assertNotEqual(complaints(bad, self.SERIES), [], bad)


class DocumentsTest(unittest.TestCase):
    def test_the_table_in_the_documents_is_that_of_the_binary(self):
        text = (ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
        inside = re.search(r"<!-- metrics -->\n(.*)<!-- /metrics -->", text, re.DOTALL)
        self.assertEqual(inside.group(1), exported.table(), "see freshet check --metrics")

    def test_every_alert_is_explained(self):
        text = (ROOT / "docs" / "OPERATING.md").read_text(encoding="utf-8")
        self.assertEqual([r["alert"] for r in rules() if f"| {r['alert']} |" not in text], [])


class AlertsTest(unittest.TestCase):
    def test_prometheus_takes_its_configuration(self):
        """With a token where the real one will be: promtool looks for the file."""
        text = (CONFIGS / "prometheus.yml").read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            token, config = pathlib.Path(folder, "token"), pathlib.Path(folder, "prometheus.yml")
            token.write_text("none\n")
            pathlib.Path(folder, "alerts.yml").write_bytes(ALERTS.read_bytes())
            config.write_text(text.replace("/run/freshet/token", str(token)))
            self.assertEqual(promtool("check", "config", config), "")

    def test_the_rules_pass_their_tests(self):
        self.assertEqual(promtool("test", "rules", HERE / "alerts_test.yml"), "")

    def test_every_rule_is_tested_firing_and_not(self):
        tests = yaml.safe_load((HERE / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
        seen = collections.defaultdict(set)
        for case in (case for test in tests for case in test["alert_rule_test"]):
            seen[case["alertname"]].add(bool(case["exp_alerts"]))
        for rule in rules():
            self.assertEqual(seen[rule["alert"]], {True, False}, rule["alert"])

    def test_rules_ask_for_what_is_exported(self):
        series = exported.series() | OWN_SERIES
        for rule in rules():
            self.assertEqual(complaints(rule["expr"], series), [], rule["alert"])


class ComposeTest(unittest.TestCase):
    """docker-compose.yml's own settings: who listens where, and who knows the token."""

    def setUp(self):
        self.text = (CONFIGS / "compose.yaml").read_text(encoding="utf-8")
        self.http = yaml.safe_load(self.text)["http"]
        prometheus = yaml.safe_load((CONFIGS / "prometheus.yml").read_text(encoding="utf-8"))
        self.job = prometheus["scrape_configs"][0]

    def test_prometheus_looks_where_freshet_listens(self):
        port = self.http["listen"].rpartition(":")[2]
        self.assertEqual(self.job["static_configs"][0]["targets"], [f"freshet:{port}"])
        self.assertEqual("file:" + self.job["authorization"]["credentials_file"], self.http["token"])

    def test_freshet_takes_its_settings(self):
        with tempfile.TemporaryDirectory() as folder:
            token, config = pathlib.Path(folder, "token"), pathlib.Path(folder, "freshet.yaml")
            token.write_text("none\n")
            config.write_text(self.text.replace("/run/freshet/token", str(token)))
            self.assertIn("ok", exported.freshet("check", "--config", config))


class BoardTest(unittest.TestCase):
    def test_panels_ask_for_what_is_exported(self):
        series = exported.series() | OWN_SERIES
        for place, expression in board_expressions():
            self.assertEqual(complaints(expression, series), [], place)

    def test_promtool_parses_every_query(self):
        recorded = [
            {"record": f"board:query:{i}", "expr": expression}
            for i, (_, expression) in enumerate(board_expressions())
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "board", "rules": recorded}]}, file)
            file.flush()
            self.assertEqual(promtool("check", "rules", file.name), "")

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self):
        panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for at in (panel["gridPos"] for panel in panels):
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken)
            taken |= cells

    def test_panels_use_the_data_source_that_is_chosen(self):
        panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
        for panel in (panel for panel in panels if panel["type"] != "row"):
            for part in [panel, *panel["targets"]]:
                self.assertEqual(part["datasource"]["uid"], "${datasource}", panel["title"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
