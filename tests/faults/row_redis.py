"""Row 5: Redis away, empty, frozen, refusing, or holding at a key what is not ours.

While Redis takes no lists, learning goes on, users are owed theirs, status and readiness say why,
and the log says so once. Afterwards, and before the oracle has all lists published again, whatever
the state says was acknowledged is in Redis, or newer.
"""

import contextlib
import http.client
import json
import random
import re
import signal
import threading

import oracle
import services
from campaign import Case
from proxy import FROM_SERVER, TO_SERVER, Proxy

EVENTS, RATE = 5000, 1500
GONE_AT = 1500  # applied, when the bad thing happens
MEANWHILE = 700  # applied at least, while it lasts
BACK_S = 60
TOLD = re.compile(r"redis: .*; lists wait, learning goes on")
# A new generation has everybody's list sent again, which would hide one that was lost.
UNTRAINED = {"train": {"first_events": 1_000_000}}
USER = "freshet"
PASSWORD = "pass-in-a-test"


# ---- looking at a daemon


def http_get(freshet, path):
    link = http.client.HTTPConnection(freshet.status()["http"], timeout=services.STOP_S)
    with contextlib.closing(link):
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()


def assert_health(freshet, ready, why=""):
    """/healthz says that the process is well either way; /readyz whether Redis is."""
    assert http_get(freshet, "/healthz")[0] == 200, "healthz while Redis is away"
    status, text = http_get(freshet, "/readyz")
    reasons = {reason["part"]: reason["why"] for reason in json.loads(text)["reasons"]}
    assert status == (200 if ready else 503), f"readyz: {status} {text}"
    assert ("redis" in reasons) != ready, text
    assert ready or re.search(why, reasons["redis"]), f"readyz says {text}, want {why!r}"


def wait_why(freshet, why):
    return freshet.wait(
        lambda s: not s["redis"]["up"] and re.search(why, s["redis"]["why"]), f"down: {why}"
    )


def told(freshet):
    return len(TOLD.findall(freshet.log_text()))


def version_of(text):
    """(offset, swap) of a list in Redis."""
    _, _, offset, swap = json.loads(text)["v"].split(".")
    return int(offset, 16), int(swap, 16)


def behind(freshet, redis):
    """Users whose list in Redis is older than the state says, or not there, or who are owed one."""
    users = freshet.dump().users  # first: a list may only become newer meanwhile
    names = sorted(users)
    wrong = []
    keys = [freshet.prefix + oracle.list_key(name) for name in names]
    for name, text in zip(names, redis.get_all(keys)):
        wanted, acked = users[name]["wanted"], users[name]["acked"]
        version = (acked["offset"], acked["swap"])
        if wanted["offset"] > acked["offset"]:
            wrong.append(f"{name} is owed {wanted}, acknowledged {acked}")
        elif text is None:
            wrong.append(f"{name}: no list, acknowledged {acked}")
        elif version_of(text) < version:
            wrong.append(f"{name}: list {version_of(text)}, acknowledged {acked}")
    return wrong


def wait_all_there(freshet, redis):
    """Lists came back by themselves."""
    last = []

    def nobody_behind():
        freshet.check_alive()
        last[:] = behind(freshet, redis)
        return not last

    try:
        services.wait_until(nobody_behind, "all lists are back", BACK_S)
    except AssertionError as error:
        raise AssertionError(f"{error}: {len(last)} users: {last[:5]}") from None


# ---- the frame of most cases


def own_redis(world, login=(), **settings):
    redis = services.Redis(world.new_folder("redis"), login, **settings)
    world.add_cleanup(redis.stop)
    return redis.start()


class Trial:
    """A freshet under load on a Redis of its own, maybe through a proxy; ended by the oracle."""

    def __init__(self, world, seed, redis=None, proxied=False, settings=None):
        self.world, self.chance = world, random.Random(seed)
        self.redis = redis or own_redis(world)
        self.freshet = world.freshet(redis=self.redis, settings=settings)
        self.proxy = None
        if proxied:
            self.proxy = Proxy(self.redis.port)
            world.add_cleanup(self.proxy.close)
            through = {**self.freshet.settings["redis"], "address": self.proxy.address}
            self.freshet.write({**self.freshet.settings, "redis": through})
        self.freshet.start()
        self.load = world.load(self.freshet, seed, EVENTS, RATE)
        self.freshet.wait(
            lambda s: s["records"]["total"] >= GONE_AT and s["lists"]["stored"] > 0, "under load"
        )

    def wait_outage(self, why):
        """Redis counts as away for that reason, learning goes on, users are owed."""
        begun = wait_why(self.freshet, why)["records"]["total"]
        assert_health(self.freshet, False, why)
        if begun < EVENTS - MEANWHILE:
            self.freshet.wait_applied(begun + MEANWHILE)
        self.freshet.wait(lambda s: s["owed"] > 0 and not s["redis"]["up"], "users are owed")
        assert told(self.freshet) == 1, f"the log told {told(self.freshet)} times"

    def end(self):
        self.load.join()
        self.freshet.wait(lambda s: s["redis"]["up"], "Redis is up again", BACK_S)
        wait_all_there(self.freshet, self.redis)
        assert_health(self.freshet, True)
        self.world.check(self.freshet, self.load)


# ---- away


def stopped_and_back_empty(world, seed):
    trial = Trial(world, seed)
    trial.redis.kill()
    trial.wait_outage("connection refused")
    trial.redis.start()
    trial.end()


def back_from_an_old_copy(world, seed):
    trial = Trial(world, seed, settings=UNTRAINED)
    trial.redis.command("SAVE")
    trial.freshet.wait_applied(GONE_AT + MEANWHILE)
    trial.redis.kill()
    trial.redis.start()
    trial.end()


def back_from_an_old_copy_both(world, seed):
    """As if the power went for both: neither remembers what the other had."""
    trial = Trial(world, seed, settings=UNTRAINED)
    seen = trial.freshet.status()["lists"]["stored"]
    trial.redis.command("SAVE")
    trial.freshet.wait(lambda s: s["lists"]["stored"] > seen + 50, "lists after the copy")
    trial.freshet.wait_applied(GONE_AT + MEANWHILE)
    trial.freshet.kill()
    trial.redis.kill()
    trial.redis.start()
    trial.freshet.start()
    trial.end()


def killed_while_lists_come_back(world, seed):
    """Who dies in the middle of filling an empty Redis goes on with it when he is back."""
    trial = Trial(world, seed, settings={**UNTRAINED, "lists": {"pace": 50}})
    trial.load.join()
    trial.freshet.wait(lambda s: s["owed"] == 0 and s["queued"] == 0, "all are sent")
    trial.redis.command("FLUSHALL")
    services.wait_until(lambda: trial.redis.command("DBSIZE") > 20, "some are back", BACK_S, 0.01)
    trial.freshet.kill()
    trial.freshet.start()
    trial.end()


def flushed(world, seed):
    """Again and again, at moments that have nothing to do with heartbeats."""
    trial = Trial(world, seed, settings=UNTRAINED)
    while not trial.load.done():
        stored = trial.freshet.status()["lists"]["stored"]
        trial.freshet.wait(
            lambda s: s["lists"]["stored"] > stored or trial.load.done(), "more lists"
        )
        trial.redis.command("FLUSHALL")
    trial.end()


def frozen(world, seed):
    trial = Trial(world, seed)
    trial.redis.process.send_signal(signal.SIGSTOP)
    world.add_cleanup(trial.redis.process.send_signal, signal.SIGCONT)
    trial.wait_outage("no answer within")
    trial.redis.process.send_signal(signal.SIGCONT)
    trial.end()


def half_open(world, seed, way):
    trial = Trial(world, seed, proxied=True)
    trial.proxy.half_open(way)
    trial.wait_outage("no answer within")
    trial.proxy.pass_on()
    trial.end()


def answers_do_not_come(world, seed):
    half_open(world, seed, FROM_SERVER)


def commands_do_not_arrive(world, seed):
    half_open(world, seed, TO_SERVER)


def cut_in_the_middle_of_answers(world, seed):
    trial = Trial(world, seed, proxied=True)
    for count in trial.chance.sample(range(1, 3000), 10):
        seen = trial.proxy.connections
        trial.proxy.cut_after(count)
        services.wait_until(lambda: trial.proxy.connections > seen, "cut", BACK_S)
    trial.proxy.pass_on()
    trial.end()


def refused_and_reset(world, seed):
    trial = Trial(world, seed, proxied=True)
    trial.proxy.reset()
    trial.wait_outage("reset by peer")
    trial.proxy.refuse()
    wait_why(trial.freshet, "refused")
    trial.proxy.pass_on()
    trial.end()


# ---- refusing


def read_only(world, seed):
    trial = Trial(world, seed)
    trial.redis.command("REPLICAOF", "127.0.0.1", services.free_port())
    trial.wait_outage("READONLY")
    trial.redis.command("REPLICAOF", "NO", "ONE")
    trial.end()


def master_down(world, seed):
    trial = Trial(world, seed, own_redis(world, replica_serve_stale_data="no"))
    trial.redis.command("REPLICAOF", "127.0.0.1", services.free_port())
    trial.wait_outage("MASTERDOWN")
    trial.redis.command("REPLICAOF", "NO", "ONE")
    trial.end()


def made_a_replica_of_an_empty_one(world, seed):
    trial = Trial(world, seed)
    empty = own_redis(world, repl_diskless_sync_delay=0)
    trial.redis.command("REPLICAOF", "127.0.0.1", empty.port)
    trial.wait_outage("READONLY|LOADING|MASTERDOWN")
    services.wait_until(lambda: trial.redis.command("DBSIZE") == 0, "synchronized", BACK_S)
    trial.redis.command("REPLICAOF", "NO", "ONE")
    trial.end()


def out_of_memory(world, seed):
    trial = Trial(world, seed)
    trial.redis.command("CONFIG", "SET", "maxmemory", "1mb")
    trial.wait_outage("OOM")
    trial.redis.command("CONFIG", "SET", "maxmemory", "0")
    trial.end()


def used_memory(redis):
    info = redis.command("INFO", "memory").decode()
    return int(re.search(r"used_memory:(\d+)", info).group(1))


def out_of_memory_now_and_then(world, seed):
    """So near the limit that a connection comes up, sends, and is refused: again and again."""
    trial = Trial(world, seed, settings=UNTRAINED)
    trial.redis.command("CONFIG", "SET", "maxmemory", used_memory(trial.redis) + 40_000)
    wait_why(trial.freshet, "OOM")
    trial.load.join()
    assert told(trial.freshet) == 1, f"the log told {told(trial.freshet)} times"
    trial.redis.command("CONFIG", "SET", "maxmemory", "0")
    trial.end()


def cannot_save(world, seed):
    """MISCONF: the last snapshot failed, so nothing may be written."""
    redis = own_redis(world, dbfilename="in-the-way")
    trial = Trial(world, seed, redis)
    (redis.folder / "in-the-way").mkdir()
    redis.command("CONFIG", "SET", "save", "3600 1000000")
    trial.redis.command("BGSAVE")
    trial.wait_outage("MISCONF")
    trial.redis.command("CONFIG", "SET", "save", "")
    trial.end()


def loading(world, seed):
    """Back from a copy that takes seconds to load."""
    trial = Trial(world, seed)
    trial.redis.command("SAVE")
    trial.redis.kill()
    keys = 400  # about; 10 ms each
    trial.redis.start(
        wait=False, key_load_delay=4_000_000 // keys, loading_process_events_interval_bytes=1024
    )
    wait_why(trial.freshet, "LOADING")
    assert_health(trial.freshet, False, "LOADING|refused")
    trial.end()


def busy(world, seed):
    trial = Trial(world, seed)
    trial.redis.command("CONFIG", "SET", "busy-reply-threshold", "100")

    def run_for_ever():
        with contextlib.suppress(AssertionError, OSError):
            trial.redis.command("EVAL", "while true do end", "0")

    runner = threading.Thread(target=run_for_ever)
    runner.start()
    try:
        trial.wait_outage("BUSY")
    finally:
        trial.redis.command("SCRIPT", "KILL")
        runner.join()
    trial.end()


def script_flushed(world, seed):
    trial = Trial(world, seed)
    flushes = 0
    while not trial.load.done():
        stored = trial.freshet.status()["lists"]["stored"]
        freshet = trial.freshet
        freshet.wait(lambda s: s["lists"]["stored"] > stored or trial.load.done(), "more lists")
        trial.redis.command("SCRIPT", "FLUSH")
        flushes += 1
    assert flushes > 0
    trial.end()
    assert told(trial.freshet) == 0, "no outage"


def full_of_clients(world, seed):
    trial = Trial(world, seed)
    with trial.redis.connect() as kept:
        trial.redis.speak(kept, [("CONFIG", "SET", "maxclients", "1"),
                                 ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")])
        trial.wait_outage("max number of clients")
        trial.redis.speak(kept, [("CONFIG", "SET", "maxclients", "10000")])
    trial.end()


# ---- who may


def wants_a_password(world, seed):
    redis = own_redis(world)
    trial = Trial(world, seed, redis)
    redis.command("CONFIG", "SET", "requirepass", PASSWORD)
    redis.login = ("default", PASSWORD)
    redis.command("CLIENT", "KILL", "TYPE", "normal")
    trial.wait_outage("NOAUTH")
    redis.command("CONFIG", "SET", "requirepass", "")
    redis.login = ()
    trial.end()


def with_user(world, seed, *rules):
    """A trial as a user who may do everything with our keys, or what the rules say."""
    redis = own_redis(world)
    redis.command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all", *rules)
    settings = {"redis": {"username": USER, "password": PASSWORD}}
    return Trial(world, seed, redis, settings=settings)


def password_changed(world, seed):
    trial = with_user(world, seed)
    trial.redis.command("ACL", "SETUSER", USER, "resetpass", ">another")
    trial.redis.command("CLIENT", "KILL", "USER", USER)
    trial.wait_outage("AUTH was refused: WRONGPASS")
    assert PASSWORD not in trial.freshet.log_text() + json.dumps(trial.freshet.status())
    trial.redis.command("ACL", "SETUSER", USER, "resetpass", f">{PASSWORD}")
    trial.end()


def user_deleted(world, seed):
    trial = with_user(world, seed)
    trial.redis.command("ACL", "DELUSER", USER)
    trial.wait_outage("AUTH was refused: WRONGPASS")
    trial.redis.command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")
    trial.end()


def may_no_longer(what, why):
    """A right taken away in the middle, one that every list needs."""

    def run(world, seed):
        trial = with_user(world, seed)
        trial.redis.command("ACL", "SETUSER", USER, *(f"-{word}" for word in what))
        trial.wait_outage(why)
        trial.redis.command("ACL", "SETUSER", USER, *(f"+{word}" for word in what))
        trial.end()

    return run


def may_touch_other_keys_alone(world, seed):
    trial = with_user(world, seed)
    trial.redis.command("ACL", "SETUSER", USER, "resetkeys", "~other:*")
    trial.wait_outage("NOPERM")
    trial.redis.command("ACL", "SETUSER", USER, "~*")
    trial.end()


def may_not_tell_of_changes(world, seed):
    """A right that lists can do without: they go on."""
    trial = with_user(world, seed)
    trial.redis.command("ACL", "SETUSER", USER, "-xadd")
    said = trial.freshet.wait(lambda s: "NOPERM" in s["redis"]["why"], "says why")
    assert said["redis"]["up"], "lists go on"
    trial.load.join()
    trial.redis.command("ACL", "SETUSER", USER, "+xadd")
    trial.end()


# ---- something else at a key


def something_else_at_a_list(world, seed):
    trial = Trial(world, seed)
    key = trial.freshet.prefix + "u0"  # who has the most events
    trial.redis.pipeline([("DEL", key), ("RPUSH", key, "not ours")])
    said = trial.freshet.wait(lambda s: "u0" in s["redis"]["why"], "the status says which key")
    assert said["redis"]["up"], "one key is no outage"
    assert_health(trial.freshet, True)
    trial.load.join()
    assert trial.redis.command("LRANGE", key, 0, -1) == [b"not ours"], "never replaced"
    assert len(re.findall(r"redis: .*u0.* delete ", trial.freshet.log_text())) == 1
    trial.redis.command("DEL", key)
    trial.end()


def something_else_at_meta(world, seed):
    trial = Trial(world, seed)
    key = trial.freshet.prefix + "meta"
    trial.redis.command("SET", key, "not ours")
    trial.wait_outage(f"{key}: WRONGTYPE")
    assert trial.redis.command("GET", key) == b"not ours"
    trial.redis.command("DEL", key)
    trial.end()


def something_else_at_changes(world, seed):
    trial = Trial(world, seed)
    key = trial.freshet.prefix + "changes"
    trial.redis.command("SET", key, "not ours")
    said = trial.freshet.wait(lambda s: f"{key}: WRONGTYPE" in s["redis"]["why"], "says why")
    assert said["redis"]["up"], "lists go on"
    assert_health(trial.freshet, True)
    trial.load.join()
    assert len(re.findall(f"redis: {key}: WRONGTYPE", trial.freshet.log_text())) == 1
    trial.redis.command("DEL", key)
    trial.end()
    assert trial.redis.command("TYPE", key) == b"stream"


def case(name, run, short=False):
    return Case(5, name, run, short)


CASES = [
    case("redis-stopped", stopped_and_back_empty, short=True),
    case("redis-old-copy", back_from_an_old_copy),
    case("redis-old-copy-both", back_from_an_old_copy_both),
    case("redis-killed-refilling", killed_while_lists_come_back),
    case("redis-flushed", flushed, short=True),
    case("redis-frozen", frozen),
    case("redis-no-answers", answers_do_not_come),
    case("redis-no-commands", commands_do_not_arrive),
    case("redis-cut", cut_in_the_middle_of_answers),
    case("redis-reset", refused_and_reset),
    case("redis-readonly", read_only),
    case("redis-masterdown", master_down),
    case("redis-replica-of-empty", made_a_replica_of_an_empty_one),
    case("redis-oom", out_of_memory),
    case("redis-oom-flapping", out_of_memory_now_and_then),
    case("redis-misconf", cannot_save),
    case("redis-loading", loading),
    case("redis-busy", busy),
    case("redis-noscript", script_flushed, short=True),
    case("redis-maxclients", full_of_clients),
    case("redis-noauth", wants_a_password),
    case("redis-wrongpass", password_changed),
    case("redis-user-deleted", user_deleted),
    case("redis-noperm-script", may_no_longer(("evalsha",), "NOPERM")),
    case("redis-noperm-in-script", may_no_longer(("set",), "GETRANGE, EXISTS and SET")),
    case("redis-noperm-meta", may_no_longer(("hset",), "NOPERM")),
    case("redis-noperm-keys", may_touch_other_keys_alone),
    case("redis-noperm-changes", may_not_tell_of_changes),
    case("redis-foreign-list", something_else_at_a_list),
    case("redis-foreign-meta", something_else_at_meta),
    case("redis-foreign-changes", something_else_at_changes),
]
