"""Row 6: the disk. Full, failing, read-only, slow; the map full; the directory taken."""

import errno
import random
import subprocess
import urllib.error
import urllib.request

import harness
import services
from bad_disk import ALL, BadDisk
from campaign import Case

EVENTS, RATE = 4000, 800
SOON = 400  # records until the disk fails, and to be learned while it does
EX_IOERR, EX_TEMPFAIL, EX_CONFIG = 74, 75, 78
COMMIT_S = 0.2  # campaign.SETTINGS
TROUBLES = 12
LEAVES_S = 25  # daemon.drain and twice five seconds


def on_bad_disk(world, seed, settings=None, events=EVENTS, rate=RATE, **ledger):
    freshet = world.freshet(settings=settings)
    disk = BadDisk(freshet)
    freshet.start(env=disk.env)
    return freshet, disk, world.load(freshet, seed, events, rate, **ledger)


def wait_failing(freshet):
    return freshet.wait(lambda s: not s["disk"]["up"], "the disk's failure in the status")


def wait_well(freshet):
    return freshet.wait(lambda s: s["disk"]["up"], "the state is written again")


def readiness(freshet):
    """/readyz: (status, body)."""
    try:
        with urllib.request.urlopen(f"http://{freshet.status()['http']}/readyz") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def assert_said(freshet):
    """In the log with the path, by status, by readiness and in the metrics."""
    text = freshet.log_text()
    assert f"the state in {freshet.state_dir}: writing: No space left on device" in text, text[-2000:]
    done = freshet.run("status")
    assert done.returncode == EX_TEMPFAIL and "No space left on device" in done.stdout, done.stdout
    status, body = readiness(freshet)
    assert status == 503 and '"state"' in body, body
    assert "freshet_state_up 0" in freshet.ask("status", "--metrics")


def full(world, seed):
    """Full for a while: events are learned and lists made all the same, nothing spins."""
    freshet, disk, load = on_bad_disk(world, seed)
    freshet.wait_applied(SOON)
    disk.fail()
    before = wait_failing(freshet)
    after = freshet.wait(
        lambda s: s["records"]["total"] >= before["records"]["total"] + SOON
        and s["lists"]["stored"] > before["lists"]["stored"],
        "learning goes on in memory, and lists are sent",
    )
    assert_said(freshet)
    tries = after["line"]["commit_failures"] - before["line"]["commit_failures"]
    allowed = (after["uptime_s"] - before["uptime_s"]) / COMMIT_S + 2
    assert tries <= allowed, f"{tries} tries where {allowed:.0f} are due"
    assert freshet.log_text().count("error state:") <= 2, "told once a minute"
    disk.mend()
    wait_well(freshet)
    assert freshet.log_has("state: written again")
    world.check(freshet, load)


def full_and_memory_too(world, seed):
    """What waits to be written fills state.hot: nothing more is learned, and that is said."""
    freshet, disk, load = on_bad_disk(
        world, seed, {"state": {"hot": "1MiB"}}, events=12_000, rate=4000, users=6000
    )
    freshet.wait_applied(SOON)
    disk.fail()
    status = freshet.wait(
        lambda s: s["disk"]["memory_full"] and s["kafka"]["lag"] > 0, "memory is full"
    )
    learned = status["records"]["total"]
    load.join()
    status = freshet.wait(lambda s: s["disk"]["memory_full"], "memory is still full")
    assert status["records"]["total"] <= learned + 2000, "learned on with a full memory"
    assert "nothing more is learned" in freshet.run("status").stdout
    disk.mend()
    world.check(freshet, load)


def full_then_killed(world, seed):
    """What was learned in memory alone is learned again, on a disk that is full until later."""
    freshet, disk, load = on_bad_disk(world, seed)
    freshet.wait_applied(SOON)
    disk.fail()
    learned = wait_failing(freshet)["records"]["total"]
    freshet.wait_applied(learned + SOON)
    freshet.kill()
    freshet.start(env=disk.env)
    freshet.wait_applied(learned + SOON)
    wait_failing(freshet)
    disk.mend()
    wait_well(freshet)
    world.check(freshet, load)


def fill(path):
    """Takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error


def really_full(world, seed):
    """The same on a small file system of its own, where this may be mounted: no call of the disk
    is ours. Killed and started while it is full."""
    freshet = world.freshet()
    freshet.state_dir.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", freshet.state_dir]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        print("row 6 disk-really-full: nothing may be mounted here", flush=True)
        return
    world.add_cleanup(subprocess.run, ["umount", "-l", freshet.state_dir])
    ballast = freshet.state_dir / "ballast"
    fill(ballast)
    freshet.start(wait=False)
    assert freshet.wait_death("a full disk at the very first") in (EX_CONFIG, EX_IOERR)
    assert freshet.log_has("No space left on device")
    ballast.unlink()
    freshet.start()
    load = world.load(freshet, seed, EVENTS, RATE)
    freshet.wait_applied(SOON)
    fill(ballast)
    learned = wait_failing(freshet)["records"]["total"]
    freshet.wait_applied(learned + SOON)
    freshet.kill()
    freshet.start()
    wait_failing(freshet)
    ballast.unlink()
    wait_well(freshet)
    world.check(freshet, load)


def full_at_the_end(world, seed):
    """SIGTERM on a full disk: it leaves by its deadline, says so, and the next one goes on."""
    freshet, disk, load = on_bad_disk(world, seed)
    freshet.wait_applied(SOON)
    disk.fail()
    wait_failing(freshet)
    status = freshet.terminate(LEAVES_S)
    assert status == EX_IOERR, f"exit status {status} with unwritten events"
    assert freshet.log_has("the log replays what was not written")
    disk.mend()
    freshet.start(env=disk.env)
    world.check(freshet, load)


def anything(world, seed):
    """Any of the disk's calls fails in any way, once or for a while, and again, and again."""
    chance = random.Random(seed)
    freshet, disk, load = on_bad_disk(world, seed, events=None, rate=400)
    for trouble in range(TROUBLES):
        before = freshet.status()
        disk.fail(
            calls=chance.choice(["write", "fsync", "write,fsync", ALL]),
            error=chance.choice([errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]),
            match=chance.choice(["data.mdb", ""]),
            nth=chance.randint(1, 8),
            only=chance.random() < 0.5,
            short=chance.random() < 0.3,
        )
        freshet.wait(
            lambda s, b=before: s["line"]["commits"] + s["line"]["commit_failures"]
            >= b["line"]["commits"] + b["line"]["commit_failures"] + 6,
            f"some commits, good or bad, in trouble {trouble}",
        )
        disk.mend()
        wait_well(freshet)
    load.finish()
    world.check(freshet, load)


def map_full(world, seed):
    """state.map is reached: said by its name; with more of it all goes on."""
    freshet = world.freshet(settings={"state": {"map": "1MiB"}}).start()
    load = world.load(freshet, seed, EVENTS, RATE)
    wait_failing(freshet)
    assert freshet.log_has(f"the state in {freshet.state_dir} is full at state.map =")
    freshet.terminate(LEAVES_S)
    freshet.write(harness.merged(freshet.settings, {"state": {"map": "256MiB"}}))
    freshet.start()
    world.check(freshet, load)


def read_only(world, seed):
    """The directory can not be written: at first, and later. (EROFS, because root may write what
    permissions forbid.)"""
    freshet = world.freshet()
    disk = BadDisk(freshet)
    disk.fail(ALL, errno.EROFS)
    freshet.start(env=disk.env, wait=False)
    status = freshet.wait_death("its directory can not be made")
    assert status in (EX_CONFIG, EX_IOERR), status
    assert freshet.log_has(f"{freshet.state_dir} cannot be made: Read-only file system")
    disk.mend()
    freshet.start(env=disk.env)
    load = world.load(freshet, seed, EVENTS, RATE)
    freshet.wait_applied(SOON)
    disk.fail(ALL, errno.EROFS)
    wait_failing(freshet)
    freshet.kill()
    freshet.start(env=disk.env, wait=False)
    assert freshet.wait_death("its directory is read-only") in (EX_CONFIG, EX_IOERR)
    assert freshet.log_has("Read-only file system")
    disk.mend()
    freshet.start(env=disk.env)
    world.check(freshet, load)


def locked(world, seed):
    """A second one on the same directory says whose it is, and does no harm."""
    freshet = world.freshet().start()
    load = world.load(freshet, seed, EVENTS, RATE)
    freshet.wait_applied(SOON)
    second = freshet.run("run")
    assert second.returncode == EX_CONFIG, second.returncode
    assert f"in use by process {freshet.process.pid}" in second.stderr, second.stderr
    freshet.check_alive()
    world.check(freshet, load)


def training_on_full_disk(world, seed):
    """The generation can not be written: the old one stays, nothing lies about, and it is said."""
    freshet, disk, load = on_bad_disk(world, seed, events=None)
    before = freshet.wait_generation()["generation"]["number"]
    disk.fail(match="generations/")
    status = freshet.wait(lambda s: s["trainer"]["failures"] > 0, "a training that failed")
    assert freshet.log_has("No space left on device"), "the trainer said why"
    assert status["generation"]["number"] >= before and status["generation"]["in_memory"]
    assert status["disk"]["up"], "the state itself is written"
    left = [path.name for path in (freshet.state_dir / "generations").iterdir()]
    assert all(name.endswith(".gen") for name in left), left
    live = status["generation"]["number"]
    disk.mend()
    freshet.wait(lambda s: s["generation"]["number"] > live, "the next generation")
    load.finish()
    world.check(freshet, load)


def stalled(world, seed):
    """The disk takes twelve seconds for a commit: lists go on meanwhile, and it is said."""
    freshet = world.freshet().start(failpoints="commit.written=stall:12000@8")
    load = world.load(freshet, seed, EVENTS, RATE / 2)
    status = wait_failing(freshet)
    assert "longer than 10 s" in status["disk"]["why"], status["disk"]
    total = status["records"]["total"]
    services.wait_until(lambda: load.produced > total + SOON or load.done(), "more of the load", 60)
    wait_well(freshet)
    world.check(freshet, load)


CASES = [
    Case(6, "disk-full", full, short=True),
    Case(6, "disk-full-and-memory", full_and_memory_too),
    Case(6, "disk-full-then-killed", full_then_killed),
    Case(6, "disk-full-at-the-end", full_at_the_end),
    Case(6, "disk-really-full", really_full),
    Case(6, "disk-fails-anyhow", anything),
    Case(6, "disk-read-only", read_only),
    Case(6, "disk-stalled", stalled),
    Case(6, "disk-full-for-the-trainer", training_on_full_disk),
    Case(6, "map-full", map_full),
    Case(6, "directory-taken", locked),
]
