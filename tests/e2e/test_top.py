#!/usr/bin/env python3
"""The dashboard and the scoreboard at a terminal, and reloading by hand."""

import os
import pty
import select
import subprocess
import time

import services
from harness import BINARY, COMMAND_S, EVENTS_FILE, EndToEnd, Freshet, main, write_yaml

EVENTS = 2000
SETTINGS = {
    "experiment": {"id": "top"},
    "arms": {"control": {"control": True}, "short": {"share": 0.5, "lists": {"n": 7}}},
}


class Terminal:
    """A program at a terminal of its own: what it shows, and keys for it."""

    def __init__(self, command):
        self.fd, ours = pty.openpty()
        self.process = subprocess.Popen(command, stdin=ours, stdout=ours, stderr=ours, close_fds=True)
        os.close(ours)
        self.shown = b""

    def wait_for(self, text, deadline_s=COMMAND_S):
        end = time.monotonic() + deadline_s
        while text not in self.shown:
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} is not shown: {self.shown[-2000:]!r}")
            if select.select([self.fd], [], [], 1)[0]:
                self.shown += os.read(self.fd, 65536)

    def press(self, key):
        self.shown = b""
        os.write(self.fd, key)

    def end(self):
        services.stop(self.process)
        os.close(self.fd)


class TopTest(EndToEnd):
    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        topics = ["top-events", "top-items", "top-events.dead"]
        broker = services.Broker(cls.folder, BINARY, topics, 3).start()
        cls.addClassCleanup(broker.stop)
        cls.daemon = Freshet(cls.folder, "top", broker.bootstrap, cls.redis.address, SETTINGS)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.end)
        cls.daemon.ask("replay", EVENTS_FILE, "--limit", EVENTS)
        cls.daemon.wait_drained(EVENTS)

    def setUp(self):
        self.freshets.append(self.daemon)

    def test_top_shows_figures_and_arms_once_where_there_is_no_terminal(self):
        text = self.daemon.ask("top")
        for words in ("kafka up", f"{EVENTS} events", "hit@20", "churn", "control", "short"):
            self.assertIn(words, text)
        self.assertNotIn("\033", text)

    def test_top_refreshes_in_place_until_q_and_gives_the_terminal_back(self):
        terminal = Terminal([BINARY, "top", "--config", self.daemon.config])
        try:
            terminal.wait_for(b"\033[?1049h")
            terminal.wait_for(b"control")
            terminal.shown = b""
            terminal.wait_for(b"\033[H")  # and again, from the top of the screen
            terminal.press(b"q")
            terminal.wait_for(b"\033[?25h\033[?1049l")
            self.assertEqual(terminal.process.wait(COMMAND_S), 0)
        finally:
            terminal.end()

    def test_arms_stop_and_go_on_by_hand(self):
        self.assertIn("running", self.daemon.ask("arms"))
        self.daemon.ask("arms", "--stop", "short")
        self.assertIn("short is stopped: by hand", self.daemon.ask("arms"))
        self.daemon.ask("arms", "--resume", "short")
        self.assertNotIn("stopped", self.daemon.ask("arms"))
        for wrong in ("control", "nobody"):
            self.assertEqual(self.daemon.run("arms", "--stop", wrong).returncode, 64)

    def test_reload_takes_all_or_nothing_and_says_what_is_wrong(self):
        good = self.daemon.config.read_text()
        settings = {**self.daemon.settings, "redis": {**self.daemon.settings["redis"], "prefix": "other:"}}
        try:
            self.daemon.config.write_text(write_yaml(settings) + "\n")
            done = self.daemon.run("reload")
        finally:
            self.daemon.config.write_text(good)
        self.assertEqual(done.returncode, 78)
        self.assertIn("redis.prefix: needs a restart", done.stderr)
        self.daemon.ask("reload")


if __name__ == "__main__":
    main()
