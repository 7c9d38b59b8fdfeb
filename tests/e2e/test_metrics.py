#!/usr/bin/env python3
"""What a running daemon exports: that Prometheus reads it, and that it agrees with its status."""

import pathlib
import subprocess
import sys
import urllib.request

import services
from harness import BINARY, EVENTS_FILE, EndToEnd, Freshet, main

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "prometheus"))
import exported  # noqa: E402

REPLAYED = 6000
HAS_HTTP = "\nhttp:" in exported.freshet("check", "--defaults")

# What takes an experiment with many users, or a second generation.
WITHOUT_SERIES = {
    "freshet_experiment_info", "freshet_experiment_running",
    "freshet_experiment_sample_ratio_p_value",
    "freshet_arm_uplift_ratio",
    "freshet_arm_uplift_bound_ratio", "freshet_arm_uplift_p_value",
    "freshet_generation_foldin_distance",
}
# Users here are barely enough for them, or not yet when the daemon last looked.
MAYBE = {"freshet_arm_hit_bound_ratio"}


class MetricsTest(EndToEnd):
    """One daemon that has learned something and has a generation, on the embedded broker."""

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
        settings = {"train": {"first_events": 3000}}
        if HAS_HTTP:
            settings["http"] = {"listen": f"127.0.0.1:{cls.port}"}
        daemon = Freshet(cls.folder, "metrics", address, cls.redis.address, settings)
        daemon.start()
        daemon.ask("replay", EVENTS_FILE, "--limit", REPLAYED)
        daemon.wait_generation(1)
        daemon.wait_drained(REPLAYED)
        return daemon

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
        self.assertEqual(set(exported.families()) - shown - MAYBE, WITHOUT_SERIES)

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

    def test_the_generation_was_written_while_the_daemon_ran(self):
        written = self.value("freshet_generation_written_timestamp_seconds")
        self.assertGreaterEqual(written + 1, self.value("process_start_time_seconds"))

    def test_the_loop_has_a_pulse(self):
        self.assertGreater(self.value("freshet_loop_lag_seconds_count"), 0)

    def test_http_has_the_same(self):
        if not HAS_HTTP:
            self.skipTest("no HTTP in this binary")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            kind = answer.headers["Content-Type"]
            text = answer.read().decode()
        self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(exported.promtool("check", "metrics", stdin=text), "")
        names = [(name, labels) for name, labels, _ in self.samples]
        self.assertEqual([(name, labels) for name, labels, _ in exported.parse(text)], names)


if __name__ == "__main__":
    main()
