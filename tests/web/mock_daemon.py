#!/usr/bin/env python3
"""Stands in for the daemon's HTTP: the real assets, with the real content policy, and an /api/overview that a test scripts.

    mock_daemon.py [--port N] [busy|new|many]     serves until interrupted, and prints its address

`MockDaemon.overview` is a function that is called for every request; it gives the object to answer with.
"""

import argparse
import http.server
import json
import math
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import embed  # noqa: E402  (the same table of assets as the binary's)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STEPS = 720
STEP_MS = 5000
SERIES = [
    "t", "events_per_s", "lists_per_s", "lag", "event_to_list_p50_ms", "event_to_list_p99_ms", "churn_rbo",
    "churn_jaccard", "gap_closed", "drift", "hit20", "hit20_popular", "hit20_recent",
]
HOSTILE = ['<img src=x onerror="document.title=\'owned\'">', "</script><script>document.title='owned'</script>", "a" * 60]


class MockDaemon:
    """Use as a context manager; stop() and start() keep the address."""

    def __init__(self, overview=None, port=0):
        self.overview = overview or busy
        self.status = 200
        self.asked = 0  # requests of /api/overview so far
        self.authorization = None  # the header of the last of them
        self.port = port
        self.assets = {path: (kind, content, etag) for path, kind, content, etag in embed.assets()}
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        handler = type("Handler", (Handler,), {"mock": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Handler(http.server.BaseHTTPRequestHandler):
    mock = None  # set by MockDaemon.start

    def do_GET(self):
        if self.path == "/api/overview":
            self.mock.asked += 1
            self.mock.authorization = self.headers["Authorization"]
            body = json.dumps(self.mock.overview() if self.mock.status == 200 else {"error": "not now"}).encode()
            self.answer(self.mock.status, "application/json", body)
        elif self.path in self.mock.assets:
            kind, content, etag = self.mock.assets[self.path]
            self.answer(200, kind, content, etag)
        else:
            self.answer(404, "application/json", b'{"error":"no such path"}')

    def answer(self, status, kind, body, etag=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# -- what it answers --------------------------------------------------------------------------------------------------


def now_ms():
    return int(time.time() * 1000)


def wave(level, swing, step, noise, seed):
    """A figure of one step: always the same for the same step, so that a series only grows at its end."""
    rng = random.Random(f"{seed} {step}")
    return max(0.0, level * (1 + swing * math.sin(step / 90 + len(seed)) + noise * rng.gauss(0, 1)))


def series_of(steps):
    rows = {
        "t": [step * STEP_MS for step in steps],
        "events_per_s": [wave(1840, 0.2, s, 0.04, "events") for s in steps],
        "lists_per_s": [wave(1610, 0.2, s, 0.04, "lists") for s in steps],
        "lag": [round(wave(40, 0.3, s, 0.4, "lag")) for s in steps],
        "event_to_list_p50_ms": [wave(11, 0.1, s, 0.06, "p50") for s in steps],
        "event_to_list_p99_ms": [wave(38, 0.15, s, 0.12, "p99") for s in steps],
        "churn_rbo": [wave(0.071, 0.1, s, 0.05, "rbo") for s in steps],
        "churn_jaccard": [wave(0.118, 0.1, s, 0.05, "jaccard") for s in steps],
        "gap_closed": [wave(0.41, 0.05, s, 0.03, "gap") for s in steps],
        "drift": [wave(0.062, 0.1, s, 0.05, "drift") for s in steps],
        "hit20": [wave(0.312, 0.03, s, 0.02, "hit") for s in steps],
        "hit20_popular": [wave(0.158, 0.03, s, 0.02, "popular") for s in steps],
        "hit20_recent": [wave(0.214, 0.03, s, 0.02, "recent") for s in steps],
    }
    for name in ("churn_rbo", "churn_jaccard"):  # a generation moves every list
        rows[name] = [v + 0.11 * math.exp(-(s % 300) / 8) for v, s in zip(rows[name], steps)]
    return rows


def estimate(mean, half):
    return {"mean": mean, "low": mean - half, "high": mean + half}


def arm(name, share, hit, control_hit=None, half=0.006, p=None, **rest):
    steps = range(now_ms() // STEP_MS - STEPS + 1, now_ms() // STEP_MS + 1)
    churn = rest.pop("churn", 0.071)
    out = {
        "name": name, "control": control_hit is None, "shadow": False, "share": share, "state": "running", "why": "",
        "generation": 7, "users": round(184_000 * share), "events": round(1_260_000 * share),
        "hit20": estimate(hit, half), "hit10": hit * 0.8, "mrr20": estimate(hit * 0.34, half / 2),
        "uplift": None, "churn_rbo": churn, "churn_jaccard": churn * 1.6, "lists": round(1_100_000 * share),
        "held": round(91_000 * share),
        "series": {
            "hit20": [wave(hit, 0.03, s, 0.03, name) for s in steps],
            "churn_rbo": [wave(churn, 0.1, s, 0.06, name) for s in steps],
        },
    }
    if control_hit is not None:
        mean = hit - control_hit
        out["uplift"] = {**estimate(mean, half * 1.7), "relative": mean / control_hit, "p": p}
    out.update(rest)
    return out


def busy():
    """A daemon at work: three arms beside control, one ahead, one without difference, one a shadow."""
    last = now_ms() // STEP_MS
    steps = range(last - STEPS + 1, last + 1)
    swaps = [s for s in steps if s % 300 == 0]
    return {
        "now": now_ms(), "version": "0.1.0", "state": "running", "uptime_s": 273_840,
        "health": {
            "kafka": {"up": True, "why": "", "lag": 37}, "redis": {"up": True, "why": ""}, "state": {"up": True, "why": ""},
            "trainer": {"up": True, "why": "", "running": False, "last_s": 14.2, "refused_in_a_row": 0},
        },
        "totals": {"events": 48_219_377, "lists": 41_083_211, "held": 3_406_100, "owed": 12, "dead": 318, "items": 26_744},
        "latency": {"event_to_list_ms": {"p50": wave(11, 0.1, last, 0.06, "p50"), "p90": 21.4, "p99": wave(38, 0.15, last, 0.12, "p99")}},
        "generation": {"number": 7, "age_s": (now_ms() - swaps[-1] * STEP_MS) / 1000, "items": 25_910, "rank": 64, "ndcg20": 0.1873},
        "step_s": STEP_MS / 1000, "series": series_of(steps),
        "generations": [{"number": 7 - i, "t": s * STEP_MS, "arms": ["control"]} for i, s in enumerate(reversed(swaps))],
        "experiment": {
            "id": "spring", "state": "running", "start": now_ms() - 5 * 86_400_000, "end": now_ms() + 16 * 86_400_000,
            "level": 0.05, "sample_ratio_p": 0.62, "sample_ratio_alarm": False,
        },
        "arms": [
            arm("control", 0.7, 0.3081, half=0.0031),
            arm("fast-trend", 0.1, 0.3402, 0.3081, half=0.0079, p=0.0004, churn=0.083),
            arm("calm", 0.1, 0.3104, 0.3081, half=0.0081, p=0.71, churn=0.032, held=21_000),
            arm("rank-128", 0.1, 0.3167, 0.3081, half=0.0082, p=0.19, shadow=True, lists=0, held=0),
        ],
    }


def with_stopped_arm():
    out = busy()
    out["arms"][1] = arm(
        "fast-trend", 0.1, 0.262, 0.3081, half=0.0079, p=0.0001, churn=0.21, state="stopped",
        why="guard hit20_drop: 15.0% below control, 10.0% allowed",
    )
    return out


def new():
    """A daemon that has just started knows nothing: nulls everywhere."""
    health = {"kafka": {"up": None, "why": "connecting", "lag": None}, "redis": {"up": None, "why": None}, "state": {"up": True, "why": ""}}
    nothing = {"mean": None, "low": None, "high": None}
    return {
        "now": now_ms(), "version": "0.1.0", "state": "running", "uptime_s": 0.2,
        "health": {**health, "trainer": {"up": None, "why": "", "running": False, "last_s": None, "refused_in_a_row": 0}},
        "totals": {"events": 0, "lists": 0, "held": 0, "owed": 0, "dead": 0, "items": None},
        "latency": {"event_to_list_ms": {"p50": None, "p90": None, "p99": None}},
        "generation": {"number": None, "age_s": None, "items": None, "rank": None, "ndcg20": None},
        "step_s": 5, "series": {name: [] for name in SERIES}, "generations": [],
        "experiment": {
            "id": None, "state": "none", "start": None, "end": None, "level": None, "sample_ratio_p": None,
            "sample_ratio_alarm": False,
        },
        "arms": [{
            "name": "default", "control": True, "shadow": False, "share": 1, "state": "running", "why": "", "generation": None,
            "users": 0, "events": 0, "hit20": nothing, "hit10": None, "mrr20": nothing, "uplift": None,
            "churn_rbo": None, "churn_jaccard": None, "lists": 0, "held": 0, "series": {"hit20": [], "churn_rbo": []},
        }],
    }


def nulls():
    """Not even objects."""
    return {key: None for key in busy()}


def many():
    """Sixteen arms, some with names that are markup, an alarm, and everything that can be down."""
    out = busy()
    names = HOSTILE + [f"arm-{i:02}" for i in range(12)]
    out["arms"] = [arm("control", 0.25, 0.3081)]
    for i, name in enumerate(names):
        out["arms"].append(arm(name, 0.05, 0.3081 + (i - 7) * 0.004, 0.3081, half=0.011, p=min(1, 0.01 + i / 16)))
    out["arms"][2].update(state="stopped", why="<b>guard</b> churn: 0.61, 0.50 allowed")
    out["experiment"].update(sample_ratio_alarm=True, sample_ratio_p=0.00002)
    out["health"]["redis"] = {"up": False, "why": "127.0.0.1:6379: connection refused, again in 4 s"}
    out["health"]["trainer"].update(refused_in_a_row=3, why="generation 8: ndcg20 0.1611 is below 0.1873 of the live one")
    return out


SCENARIOS = {"busy": busy, "stopped": with_stopped_arm, "new": new, "nulls": nulls, "many": many}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("scenario", nargs="?", default="busy", choices=SCENARIOS)
    args = parser.parse_args()
    with MockDaemon(SCENARIOS[args.scenario], args.port) as mock:
        print(mock.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
