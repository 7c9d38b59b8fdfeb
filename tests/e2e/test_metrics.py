#!/usr/bin/env python3
"""What a running daemon exports: that Prometheus reads it, and that it agrees with its status."""

import pathlib
import subprocess
import sys
import urllib.request

import services
from harness import BINARY, DRAIN_S, EVENTS_FILE, EndToEnd, Freshet, main

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "prometheus"))
import exported  # noqa: E402

FIRST = 10_000  # before the first training; the rest before the second
REPLAYED = 40_000  # enough for intervals around the rates of two arms

SETTINGS = {
    "train": {"first_events": 3000},
    "experiment": {"id": "metrics", "salt": "m"},
    "arms": {"control": {"control": True}, "hasty": {"share": 0.5, "model": {"trend_weight": 0.5}}},
}
ARMS = ("control", "hasty")
SERIES_OF_AN_ARM = 82
VALUES = 16  # HITS_VALUES of monitor/hits.h


class MetricsTest(EndToEnd):
    """One daemon with two arms that has learned and trained twice, on the embedded broker."""

    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = services.free_port()
        cls.daemon = cls.started()
        cls.addClassCleanup(cls.daemon.end)
        cls.status = cls.daemon.status()
        cls.text = cls.daemon.ask("status", "--metrics")
        cls.samples = exported.parse(cls.text)

    @classmethod
    def started(cls):
        log = pathlib.Path(cls.folder) / "broker.log"
        topics = "metrics-events,metrics-items,metrics-events.dead"
        command = [BINARY, "broker", "--topics", topics, "--partitions", "3"]
        broker = services.spawn(command, log, stdout=subprocess.PIPE)
        cls.addClassCleanup(broker.stdout.close)
        cls.addClassCleanup(services.stop, broker)
        address = broker.stdout.readline().decode().strip()
        settings = {**SETTINGS, "http": {"listen": f"127.0.0.1:{cls.port}"}}
        daemon = Freshet(cls.folder, "metrics", address, cls.redis.address, settings)
        daemon.start()
        daemon.ask("replay", EVENTS_FILE, "--limit", FIRST)
        daemon.wait_generation(len(ARMS))
        daemon.wait_drained(FIRST)
        daemon.ask("replay", cls.the_rest())
        daemon.wait_drained(REPLAYED)
        daemon.ask("train")
        daemon.wait_drained(REPLAYED)
        services.wait_until(lambda: cls.all_are_counted(daemon), "the arms' rates", DRAIN_S)
        return daemon

    @classmethod
    def the_rest(cls):
        """The events after the first ones, in a file of their own."""
        lines = subprocess.run(["zstd", "-dc", EVENTS_FILE], stdout=subprocess.PIPE, check=True).stdout.splitlines(True)
        path = pathlib.Path(cls.folder) / "rest.tsv"
        path.write_bytes(b"".join(lines[:1] + lines[1 + FIRST : 1 + REPLAYED]))
        return path

    @staticmethod
    def all_are_counted(daemon):
        """Whether the experiment has looked at its users since the last event: it does so once a second."""
        samples = exported.parse(daemon.ask("status", "--metrics"))
        judged = [v for n, l, v in samples if n == "freshet_accuracy_events_total"
                  and l == {"scope": "new", "method": "freshet"}]
        return judged == [sum(v for n, _, v in samples if n == "freshet_arm_events_total")]

    def setUp(self):
        self.freshets.append(self.daemon)

    def value(self, name, **labels):
        values = [v for n, l, v in self.samples if n == name and l == labels]
        self.assertEqual(len(values), 1, f"series {name}{labels}")
        return values[0]

    def test_promtool_likes_them(self):
        self.assertEqual(exported.promtool("check", "metrics", stdin=self.text), "")

    def test_every_series_is_in_the_table_with_its_labels(self):
        table = exported.series()
        for name, labels, _ in self.samples:
            self.assertEqual(tuple(labels), table[name], name)

    def test_every_row_of_the_table_has_a_series(self):
        shown = {line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE")}
        self.assertEqual(set(exported.families()) - shown, set())

    def test_no_series_is_there_twice(self):
        names = [(name, tuple(labels.items())) for name, labels, _ in self.samples]
        self.assertEqual(len(names), len(set(names)))

    def test_buckets_cumulate_to_the_count(self):
        for name, (kind, _) in exported.families().items():
            buckets = [v for n, _, v in self.samples if n == name + "_bucket"]
            if kind == "histogram" and buckets:
                self.assertEqual(buckets, sorted(buckets), name)
                self.assertEqual(buckets[-1], self.value(name + "_count"), name)

    def test_counts_are_those_of_the_status(self):
        status = self.status
        for kind in ("applied", "duplicate", "late", "dead"):
            found = self.value("freshet_records_total", kind=kind)
            self.assertEqual(found, status["records"][kind], kind)
        for outcome in ("stored", "older", "refused", "unsent"):
            found = self.value("freshet_lists_total", outcome=outcome)
            self.assertEqual(found, status["lists"][outcome], outcome)
        hits = self.value("freshet_accuracy_hits_total", scope="new", method="freshet", k="20")
        self.assertEqual(hits, status["accuracy"]["new"]["freshet"]["hits20"])
        recent = self.value("freshet_accuracy_events_total", scope="all", method="recent_1w")
        self.assertEqual(recent, status["accuracy"]["all"]["recent"]["1w"]["events"])
        latency = status["latency"]["event_to_list_ms"]
        self.assertEqual(self.value("freshet_event_to_list_seconds_count"), latency["count"])

    def test_gauges_are_those_of_the_status(self):
        generation = self.status["generation"]
        self.assertEqual(self.value("freshet_generation_number"), generation["number"])
        self.assertEqual(self.value("freshet_generation_items"), generation["items"])
        self.assertEqual(self.value("freshet_items"), self.status["items"])
        self.assertEqual(self.value("freshet_owed_users"), 0)
        self.assertEqual(self.value("freshet_kafka_lag_records"), 0)
        for up in ("kafka", "redis", "state"):
            self.assertEqual(self.value(f"freshet_{up}_up"), 1)
        for row in self.status["partitions"]:
            offset = self.value("freshet_kafka_next_offset", partition=str(row["partition"]))
            self.assertEqual(offset, row["next_offset"])

    def test_figures_of_arms_are_those_of_the_status(self):
        for arm in self.status["arms"]:
            name, hits = arm["name"], arm["hits"]
            for k in (10, 20):
                found = self.value("freshet_arm_hits_total", arm=name, k=str(k))
                self.assertEqual(found, hits["new"][f"hits{k}"], name)
                found = self.value("freshet_chr_hits_total", arm=name, k=str(k))
                self.assertEqual(found, hits["chr"][f"hits{k}"], name)
            for outcome, events in hits["attribution"].items():
                found = self.value("freshet_attributed_events_total", arm=name, outcome=outcome)
                self.assertEqual(found, events, outcome)
            for reason, lists in arm["churn"]["held"].items():
                self.assertEqual(self.value("freshet_lists_held_total", arm=name, reason=reason), lists, reason)
            for cause, churn in arm["churn"]["by_cause"].items():
                found = self.value("freshet_list_churn_rbo_count", arm=name, cause=cause)
                self.assertEqual(found, churn["rewrites"], cause)

    def test_arms_have_intervals_and_control_has_no_uplift(self):
        for arm in ARMS:
            low, high = (self.value("freshet_arm_hit_bound_ratio", arm=arm, bound=b) for b in ("low", "high"))
            self.assertLess(low, self.value("freshet_arm_hit_ratio", arm=arm))
            self.assertLess(self.value("freshet_arm_hit_ratio", arm=arm), high)
        uplifts = {l["arm"] for n, l, _ in self.samples if n.startswith("freshet_arm_uplift")}
        self.assertEqual(uplifts, {"hasty"})

    def test_hits_by_type_and_by_value_are_those_of_the_status(self):
        hits = self.status["hits"]
        for name, scopes in hits["by_type"].items():
            for scope, count in scopes.items():
                found = self.value("freshet_type_events_total", type=name, scope=scope)
                self.assertEqual(found, count["events"], name)
                found = self.value("freshet_type_hits_total", type=name, scope=scope, k="20")
                self.assertEqual(found, count["hits20"], name)
        slices = {l["from"]: v for n, l, v in self.samples if n == "freshet_rhr_events_total"}
        self.assertEqual(len(slices), VALUES)
        self.assertEqual({f: v for f, v in slices.items() if v}, {f"{s['from']:g}": s["count"]["events"] for s in hits["rhr"]})

    def test_the_last_swap_moved_users(self):
        control = next(arm for arm in self.status["arms"] if arm["name"] == "control")
        moved = self.value("freshet_generation_foldin_distance")
        self.assertGreater(moved, 0)
        self.assertAlmostEqual(moved / control["shift"]["score_distance"], 1, places=5)

    def test_an_arm_has_no_more_series_than_the_documents_say(self):
        hasty = [name for name, labels, _ in self.samples if labels.get("arm") == "hasty"]
        self.assertEqual(len(hasty), SERIES_OF_AN_ARM)
        text = (exported.ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
        self.assertIn(f"an arm has {SERIES_OF_AN_ARM} ", text)

    def test_the_generation_was_written_while_the_daemon_ran(self):
        written = self.value("freshet_generation_written_timestamp_seconds")
        self.assertGreaterEqual(written + 1, self.value("process_start_time_seconds"))

    def test_the_loop_has_a_pulse(self):
        self.assertGreater(self.value("freshet_loop_lag_seconds_count"), 0)

    def test_http_has_the_same(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            kind = answer.headers["Content-Type"]
            text = answer.read().decode()
        self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(exported.promtool("check", "metrics", stdin=text), "")
        names = [(name, labels) for name, labels, _ in self.samples]
        self.assertEqual([(name, labels) for name, labels, _ in exported.parse(text)], names)


if __name__ == "__main__":
    main()
