#!/usr/bin/env python3
"""configs/freshet.service: what systemd thinks of it, and freshet under what it forbids.

There is no systemd here to run it. Made by us as the unit says, from its own lines: another user, no new privileges,
the system calls, address families and memory protections that it leaves, its umask and limits, and the notifications.
Not made: its mount and user namespaces, DynamicUser, credentials."""

import ctypes
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess

import seccomp
import services
from harness import BINARY, EVENTS_FILE, ROOT, EndToEnd, Freshet, main

UNIT = ROOT / "configs" / "freshet.service"
EXPOSURE_MOST = 2.5
NOBODY = 65534
EVENTS = 6000
PROT_WRITE, PROT_EXEC = 2, 4
DEADLINE_S = 120


def values(key):
    """What the unit says of a key, line by line."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.M)


def members(name):
    """The system calls of a set, or the one of that name."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, check=True, text=True
    ).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(members(line) for line in lines if line and not line.startswith("#")))


def allowed_calls():
    calls = set()
    for line in values("SystemCallFilter"):
        named = set().union(*(members(name) for name in line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def make_filter():
    """SystemCallFilter=, RestrictAddressFamilies= and MemoryDenyWriteExecute= as systemd makes them."""
    calls = seccomp.SyscallFilter(seccomp.ERRNO(1))
    bounded = {"socket", "mmap", "mprotect", "pkey_mprotect"}
    for name in sorted(allowed_calls() - bounded):
        try:
            calls.add_rule(seccomp.ALLOW, name)
        except (ValueError, RuntimeError):
            pass  # of another architecture, or newer than the library
    for family in values("RestrictAddressFamilies")[0].split():
        number = int(getattr(socket, family))
        calls.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, number))
    for bit in (PROT_WRITE, PROT_EXEC):
        calls.add_rule(seccomp.ALLOW, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, bit, 0))
    calls.add_rule(seccomp.ALLOW, "mprotect", seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
    return calls


class Notices:
    """The service manager's end of sd_notify."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o777)
        self.socket.settimeout(DEADLINE_S)
        self.close = self.socket.close

    def wait(self, wanted):
        while self.socket.recv(4096).decode() != wanted:
            pass


class UnitTest(EndToEnd):
    needs_kafka = False

    def test_systemd_finds_it_little_exposed(self):
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, check=True, text=True
        )
        exposure = float(re.search(r"Overall exposure level for freshet.service: ([\d.]+)", done.stdout)[1])
        self.assertLessEqual(exposure, EXPOSURE_MOST)

    def test_systemd_understands_every_line(self):
        copy = pathlib.Path(self.folder) / "freshet.service"
        copy.write_text(UNIT.read_text().replace("/usr/bin/freshet", os.path.abspath(BINARY)).replace("Documentation=man", "#"))
        done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, check=False, text=True)
        self.assertNotIn("freshet.service:", done.stderr)

    def confined(self, name):
        """A freshet of its own user, in a folder of its own."""
        binary = pathlib.Path(self.folder) / "freshet"
        shutil.copy(BINARY, binary)
        broker = services.Broker(self.folder, BINARY, [f"{name}-events", f"{name}-items", f"{name}-events.dead"], 3)
        self.addCleanup(broker.stop)
        broker.start()
        freshet = Freshet(self.folder, name, broker.bootstrap, self.redis.address, {
            "train": {"first_events": 3000}, "consumer": {"create_partitions": 0},
        })
        self.freshets.append(freshet)
        self.addCleanup(freshet.end)
        os.chmod(self.folder, 0o711)
        if os.getuid() == 0:
            for path in (freshet.folder, freshet.config):
                os.chown(path, NOBODY, NOBODY)
        return freshet, binary

    def start_confined(self, freshet, binary, notices):
        calls = make_filter()

        def confine():
            ctypes.CDLL(None).prctl(1, 9)  # dies with us
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            os.umask(0o077)
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            calls.load()  # with "no new privileges"

        # The leak checker would trace, which is forbidden.
        environment = {"NOTIFY_SOCKET": str(notices.path), "ASAN_OPTIONS": "detect_leaks=0"}
        with open(freshet.log, "ab") as log:
            freshet.process = subprocess.Popen(
                [binary, "run", "--config", freshet.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, preexec_fn=confine,
            )

    def test_all_of_it_works_under_what_the_unit_forbids(self):
        notices = Notices(self.folder)
        self.addCleanup(notices.close)
        freshet, binary = self.confined("unit")
        self.start_confined(freshet, binary, notices)
        notices.wait("READY=1")
        freshet.wait(lambda s: s["state"] == "running", "running")
        replay = freshet.spawn("replay", EVENTS_FILE, "--limit", EVENTS)
        services.wait_until(lambda: self.idle_children(freshet), "a trainer at idle priority", DEADLINE_S, 0.005)
        self.assertEqual(replay.wait(DEADLINE_S), 0)
        freshet.wait_generation(1)
        freshet.wait_drained(EVENTS)
        self.assertIsNotNone(self.redis.command("GET", f"{freshet.prefix}popular"))
        notices.wait("WATCHDOG=1")
        freshet.write({**freshet.settings, "lists": {**freshet.settings["lists"], "n": 5}})
        freshet.ask("reload")
        freshet.process.terminate()
        notices.wait("STOPPING=1")
        self.assertEqual(freshet.process.wait(DEADLINE_S), 0)

    @staticmethod
    def idle_children(freshet):
        """Those of the daemon's children that run at idle priority."""
        idle = []
        for path in pathlib.Path(f"/proc/{freshet.process.pid}/task").glob("*/children"):
            for child in path.read_text().split():
                try:
                    idle += [child] if os.sched_getscheduler(int(child)) == os.SCHED_IDLE else []
                except ProcessLookupError:
                    pass
        return idle

    def test_what_the_unit_forbids_is_indeed_forbidden_here(self):
        def confine():
            make_filter().load()

        done = subprocess.run(
            ["/usr/bin/python3", "-c", "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"],
            preexec_fn=confine, capture_output=True, check=False, text=True,
        )
        self.assertIn("PermissionError", done.stderr)


if __name__ == "__main__":
    main()
