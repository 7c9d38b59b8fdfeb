#!/usr/bin/env python3
"""HTTP as its clients meet it: docs/openapi.json held against a running daemon, tokens, limits, and who is named."""

import http.client
import json
import re
import socket
import threading
import urllib.parse

import jsonschema
import services
from harness import BINARY, EVENTS_FILE, ROOT, EndToEnd, Freshet, main

TOKEN = "a token of the tests"
REPLAYED = 6000
ARMS = {
    "control": {"control": True},
    "hasty": {"share": 0.5, "model": {"trend_weight": 0.5}},
    "watched": {"share": 0.5, "shadow": True, "model": {"rank": 8}},
}
CLIENTS_OF_AN_ADDRESS = 32  # HTTP_CLIENTS_ADDRESS_MAX of monitor/http.h
DEADLINE_S = 60
P99_MS = 1000  # beside two busy cores and sanitizers; without them it is some ten

# Documented, and not reached here: what loopback never answers (tests/unit/daemon/test_api.c asks elsewhere), and the
# moment in which the daemon stops.
NOT_REACHED = {
    ("/metrics", "401"), ("/api/overview", "401"), ("/api/arms", "401"), ("/api/openapi.json", "401"),
    ("/api/items/{item}/similar", "401"), ("/api/items/{item}/similar", "503"),
    ("/api/users/{user}/explain/{item}", "503"), ("/api/users/{user}/whatif", "503"),
}

class Answer:
    """A whole answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def kind(self):
        return self.headers["content-type"].split(";")[0]


def ask(port, path, method="GET", token=None, host=None, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    given = dict(headers or {})
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    if host is not None:
        given["Host"] = host
    try:
        connection.request(method, path, body=body, headers=given)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def port_of(freshet):
    return int(freshet.status()["http"].rsplit(":", 1)[1])


def as_json_schema(schema):
    """OpenAPI 3.0's dialect as JSON Schema's: `nullable` is one more type, and the rest the same."""
    if isinstance(schema, list):
        return [as_json_schema(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: as_json_schema(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        return {"anyOf": [out, {"type": "null"}]}
    return out


class HttpTest(EndToEnd):
    """A daemon with a token that has learned something, on the embedded broker."""

    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
        cls.broker, address = cls.start_broker("shared", "http", "untold")
        cls.daemon = cls.new("http", address, {
            "http": {"token": TOKEN}, "experiment": {"id": "http", "salt": "h"}, "arms": ARMS,
            "impression": {"discount": 0.3},
        })
        cls.daemon.ask("replay", EVENTS_FILE, "--limit", REPLAYED)
        cls.daemon.wait_drained(REPLAYED)
        cls.daemon.wait_generation(len(ARMS))
        cls.daemon.wait_drained(REPLAYED)
        cls.untold = cls.new("untold", address)
        cls.port = port_of(cls.daemon)
        dump = cls.daemon.dump()
        cls.users = sorted(dump.users)
        cls.user = max(cls.users, key=lambda name: len(dump.users[name]["interactions"]))
        cls.item = dump.users[cls.user]["interactions"][0]["item"]

    @classmethod
    def new(cls, name, address, settings=None):
        settings = {"train": {"first_events": 4000}, **(settings or {})}
        daemon = Freshet(cls.folder, name, address, cls.redis.address, settings)
        cls.addClassCleanup(daemon.end)
        return daemon.start()

    def setUp(self):
        self.freshets += [self.daemon, self.untold]
        self.daemon.check_alive()
        self.untold.check_alive()

    def ask(self, path, **options):
        return ask(self.port, path, **options)

    # ---- docs/openapi.json

    def response(self, path, method, status):
        node = self.document["paths"][path][method]["responses"][status]
        if "$ref" in node:
            node = self.document["components"]["responses"][node["$ref"].rsplit("/", 1)[1]]
        return node

    def assert_documented(self, path, method, answer):
        """Status, type, headers and shape of an answer are among what is documented of its path."""
        documented = self.response(path, method, str(answer.status))
        content = documented.get("content", {})
        self.assertIn(answer.kind, content)
        for header in documented.get("headers", {}):
            self.assertIn(header.lower(), answer.headers)
        value = answer.json if answer.kind == "application/json" else answer.body.decode()
        schema = as_json_schema(content[answer.kind]["schema"])
        schema["components"] = as_json_schema(self.document["components"])
        jsonschema.Draft4Validator(schema).validate(value)

    def asked(self, path, user=None, item=None):
        quote = urllib.parse.quote
        path = path.replace("{user}", quote(user or self.user, safe=""))
        return path.replace("{item}", quote(item or self.item, safe=""))

    def tries(self, path, method):
        """What is asked of a path: every way that should lead to a status of its own."""
        known = self.asked(path) + (f"?item={self.item}" if "whatif" in path else "")
        yield "known", self.port, known, {"token": TOKEN}
        yield "without a token", self.port, known, {}
        yield "with a wrong token", self.port, known, {"token": TOKEN[:-1]}
        yield "where there is no token", port_of(self.untold), known, {}
        yield "by another name", self.port, known, {"token": TOKEN, "host": "evil.example"}
        yield "with what it does not take", self.port, self.asked(path) + "?nonsense=1", {"token": TOKEN}
        strange = self.asked(path, "nobody", "nothing") + ("?item=nothing" if "whatif" in path else "")
        yield "of a stranger", self.port, strange, {"token": TOKEN}

    def test_every_path_answers_as_documented(self):
        reached = {(path, m): set() for path, methods in self.document["paths"].items() for m in methods}
        for (path, method), statuses in reached.items():
            for what, port, target, options in self.tries(path, method):
                with self.subTest(f"{method} {path}, {what}"):
                    answer = ask(port, target, method=method.upper(), **options)
                    statuses.add(str(answer.status))
                    self.assert_documented(path, method, answer)
        self.redis.kill()
        try:
            self.daemon.wait(lambda s: not s["redis"]["up"], "Redis is away")
            for path, method in reached:
                answer = self.ask(self.asked(path), method=method.upper(), token=TOKEN)
                reached[path, method].add(str(answer.status))
                self.assert_documented(path, method, answer)
        finally:
            self.redis.start()
            self.daemon.wait_drained(REPLAYED)
        for (path, method), statuses in reached.items():
            documented = set(self.document["paths"][path][method]["responses"])
            not_reached = {s for s in documented if (path, s) in NOT_REACHED}
            self.assertEqual(statuses | not_reached, documented, f"{method} {path}")

    def test_the_description_is_served_as_it_is_in_the_docs(self):
        answer = self.ask("/api/openapi.json")
        self.assertEqual(answer.body, (ROOT / "docs" / "openapi.json").read_bytes())
        self.assertEqual(answer.json["openapi"].split(".")[0], "3")

    def test_what_is_not_documented_is_not_there(self):
        for path in ("/api", "/api/", "/api/users", f"/api/users/{self.user}", "/api/overview/", "/api/openapi.yaml",
                     "/metrics/", "/status", "/assets/", "/assets/../api/overview", "/favicon.txt"):
            with self.subTest(path):
                answer = self.ask(path, token=TOKEN)
                self.assertEqual(answer.status, 404)
                self.assertTrue(answer.json["error"])

    def test_methods_that_are_not_documented_are_refused(self):
        for path, methods in self.document["paths"].items():
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                if method.lower() in methods:
                    continue
                with self.subTest(f"{method} {path}"):
                    answer = self.ask(self.asked(path), method=method, token=TOKEN)
                    self.assertEqual(answer.status, 405)
                    self.assertIn("GET, HEAD", answer.headers["allow"])

    def test_head_is_get_without_the_body(self):
        for path in ("/healthz", "/api/overview", "/"):
            answer = self.ask(path, method="HEAD")
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertGreater(int(answer.headers["content-length"]), 2)

    def test_the_page_is_kept_and_asked_about(self):
        first = self.ask("/")
        self.assertEqual(first.kind, "text/html")
        again = self.ask("/", headers={"If-None-Match": first.headers["etag"]})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_every_answer_has_the_strict_headers(self):
        for path in ("/", "/healthz", "/api/overview", "/metrics", "/nothing", f"/api/users/{self.user}/list"):
            headers = self.ask(path).headers
            self.assertIn("default-src 'none'", headers["content-security-policy"])
            self.assertIn("frame-ancestors 'none'", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["referrer-policy"], "no-referrer")
            self.assertIn("cache-control", headers)
            self.assertNotIn("server", headers)

    # ---- figures

    def test_the_overview_of_a_daemon_that_knows_nothing_is_exact(self):
        answer = ask(port_of(self.untold), "/api/overview")
        self.assert_documented("/api/overview", "get", answer)
        overview = answer.json
        self.assertEqual(overview["generation"], {"number": 0, "age_s": None, "items": None, "rank": None, "ndcg20": None})
        self.assertEqual([(a["name"], a["generation"], a["events"]) for a in overview["arms"]], [("default", 0, 0)])
        self.assertEqual((overview["experiment"]["state"], overview["generations"]), ("none", []))

    def test_the_overview_says_what_the_status_says(self):
        status, overview = self.daemon.status(), self.ask("/api/overview").json
        totals, generation = overview["totals"], overview["generation"]
        self.assertEqual(totals["events"], status["records"]["applied"])
        self.assertEqual(totals["lists"], status["lists"]["stored"])
        self.assertEqual((totals["items"], totals["owed"], totals["dead"]), (status["items"], 0, status["records"]["dead"]))
        for key in ("number", "items", "rank", "ndcg20"):
            self.assertEqual(generation[key], status["generation"][key])
        self.assertTrue(0 <= generation["age_s"] <= overview["uptime_s"] + 1)
        latency = {key: overview["latency"]["event_to_list_ms"][key] for key in ("p50", "p90", "p99")}
        self.assertEqual(latency, {key: status["latency"]["event_to_list_ms"][key] for key in latency})
        self.assertEqual(overview["health"]["kafka"], {"up": True, "why": "", "lag": 0})

    def test_series_of_the_overview_have_one_length(self):
        def overview():
            found = self.ask("/api/overview").json
            return found if len(found["series"]["t"]) > 1 else None

        found = services.wait_until(overview, "two points", DEADLINE_S)
        rows = list(found["series"].values()) + [row for arm in found["arms"] for row in arm["series"].values()]
        self.assertEqual({len(row) for row in rows}, {len(found["series"]["t"])})
        times = found["series"]["t"]
        self.assertEqual(times, sorted(times))
        marked = {name for mark in found["generations"] for name in mark["arms"]}
        self.assertEqual(marked, set(ARMS))

    def test_arms_are_those_of_the_settings_and_share_the_users(self):
        """The experiment looks at its users once a second."""
        judged = self.daemon.status()["accuracy"]["new"]["freshet"]["events"]

        def board():
            arms = {arm["name"]: arm for arm in self.ask("/api/arms").json["arms"]}
            return arms if arms["control"]["events"] + arms["hasty"]["events"] == judged else None

        arms = services.wait_until(board, "all events in the scoreboard", DEADLINE_S)
        self.assertEqual(list(arms), list(ARMS))
        users = [arms[name]["users"] for name in ("control", "hasty")]
        self.assertLess(abs(users[0] - users[1]), 0.3 * sum(users))
        self.assertIsNone(arms["watched"]["users"])
        for name, arm in arms.items():
            self.assertEqual((arm["control"], arm["shadow"]), (name == "control", name == "watched"))
            self.assertEqual((arm["share"], arm["state"], arm["why"]), (0.5, "running", ""))
            self.assertEqual(arm["uplift"] is None, name != "hasty")
            self.assertGreater(arm["events"], 0)
            self.assertGreater(arm["lists"], 0)
            self.assertEqual(arm["generation"], 1)
        self.assertTrue(0 < arms["hasty"]["uplift"]["p"] <= 1)
        experiment = self.ask("/api/arms").json["experiment"]
        self.assertEqual((experiment["id"], experiment["state"]), ("http", "running"))
        self.assertEqual(experiment["sample_ratio_alarm"], False)

    # ---- parameters

    def test_similar_gives_as_many_as_are_asked_for(self):
        path = self.asked("/api/items/{item}/similar")
        for n, want in (("", 20), ("?n=1", 1), ("?n=3&arm=watched", 3)):
            answer = self.ask(path + n)
            self.assertEqual(len(answer.json["by_together"]), want)
        self.assertEqual(answer.json["arm"], "watched")
        for n in ("0", "1001", "-1", "x", "1.5", "", "9999999999", "3&n=3"):
            answer = self.ask(f"{path}?n={n}")
            self.assertEqual((answer.status, list(answer.json)), (400, ["error"]), n)
        self.assertEqual(answer.json["error"], "a parameter is there twice")

    def test_lists_are_explained_for_the_arm_that_is_named(self):
        for path in ("/api/users/{user}/explain/{item}", "/api/users/{user}/whatif"):
            asked = self.asked(path) + "?" + (f"item={self.item}&" if "whatif" in path else "")
            for arm in ARMS:
                answer = self.ask(asked + f"arm={arm}", token=TOKEN)
                self.assert_documented(path, "get", answer)
                self.assertEqual((answer.status, answer.json["arm"]), (200, arm))
            self.assertEqual(self.ask(asked + "arm=nobody", token=TOKEN).status, 400)

    def test_what_if_takes_the_type_of_its_events_in_a_form_too(self):
        path = self.asked("/api/users/{user}/whatif")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for kind in ("played", "wishlist"):
            body = f"item={self.item}&item={self.item}&type={kind}"
            answer = self.ask(path, method="POST", token=TOKEN, body=body, headers=form)
            self.assert_documented("/api/users/{user}/whatif", "post", answer)
            self.assertEqual((answer.json["type"], answer.json["items"]), (kind, [self.item] * 2))
        self.assertEqual(self.ask(f"{path}?item={self.item}&type=nonsense", token=TOKEN).status, 400)

    def test_every_kind_of_term_is_documented(self):
        """Over many users and items; also why an item is not for them."""
        dump, kinds, reasons = self.daemon.dump(), set(), set()
        path = "/api/users/{user}/explain/{item}"
        users = sorted(self.users, key=lambda name: -len(dump.users[name]["interactions"]))[:15]
        for user in users:
            record = dump.users[user]
            for item in {*record["list"][:3], record["interactions"][-1]["item"], "nothing"}:
                answer = self.ask(self.asked(path, user, item), token=TOKEN)
                self.assert_documented(path, "get", answer)
                self.assertEqual(answer.status, 200)
                kinds |= {term["kind"] for term in answer.json["terms"]}
                reasons |= {reason["reason"] for reason in answer.json["why"]}
        self.assertLessEqual({"trend", "together", "taste"}, kinds)
        self.assertLessEqual({"seen", "unknown"}, reasons)

    # ---- users

    def test_a_list_is_the_one_in_redis(self):
        for method in ("GET", "POST"):
            answer = self.ask(self.asked("/api/users/{user}/list"), method=method, token=TOKEN)
            stored = json.loads(self.redis.command("GET", self.daemon.prefix + self.user))
            self.assertEqual(answer.json["list"], stored)

    def test_nothing_names_a_user_without_the_token(self):
        """Every path, and whatever lies near it, is asked without one; no answer holds any user's id."""
        paths = [self.asked(path) for path in self.document["paths"]]
        paths += ["/", "/nothing", "/api/users", "/api/users/%ff/list", f"/api/items/{self.user}/similar"]
        paths += [f"/api/users/{user}/{what}" for user in self.users[:50] for what in ("list", "whatif")]
        names = re.compile("|".join(map(re.escape, self.users)))
        self.assertGreater(len(self.users), 100)
        for path in paths:
            for token in (None, "", TOKEN + "x"):
                answer = self.ask(path, token=token)
                spoken = answer.body.decode(errors="replace") + str(answer.headers)
                if path.startswith("/api/items/"):  # a question's own words may come back
                    spoken = spoken.replace(self.user, "")
                self.assertIsNone(names.search(spoken), path)

    # ---- health

    def test_readiness_names_what_is_missing(self):
        broker, address = self.start_broker("away", "away")
        daemon = self.new("away", address)
        port = port_of(daemon)
        ready = services.wait_until(lambda: ask(port, "/readyz").status == 200, "ready", DEADLINE_S)
        self.assertTrue(ready)
        services.stop(broker)

        def missing():
            answer = ask(port, "/readyz")
            self.assertIn(answer.status, (200, 503))
            return answer.status == 503 and {r["part"] for r in answer.json["reasons"]}

        services.wait_until(lambda: "kafka" in (missing() or ()), "kafka is missing", DEADLINE_S)
        self.assertEqual(ask(port, "/healthz").status, 200, "the process itself is well")
        daemon.end()

    def test_an_address_in_use_is_named(self):
        taken = f"127.0.0.1:{self.port}"
        _, address = self.start_broker("second", "second")
        second = Freshet(self.folder, "second", address, self.redis.address, {"http": {"listen": taken}})
        done = second.run("run")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"http.listen: {taken}", done.stderr)

    def test_the_daemon_ends_though_clients_stay(self):
        _, address = self.start_broker("leaving", "leaving")
        daemon = self.new("leaving", address)
        with socket.create_connection(("127.0.0.1", port_of(daemon)), timeout=DEADLINE_S) as link:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he")
            self.assertIn(b" 200 ", link.recv(65536))
            self.assertEqual(daemon.terminate(), 0)

    # ---- limits

    def raw(self, bytes_sent, deadline_s=DEADLINE_S):
        """What comes back for bytes of any kind, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=deadline_s) as link:
            back = b""
            try:
                link.sendall(bytes_sent)
                while chunk := link.recv(65536):
                    back += chunk
            except (ConnectionResetError, BrokenPipeError):
                pass  # it closed while we were still sending
            return back

    def test_a_huge_head_and_a_huge_body_are_refused(self):
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
        self.assertRegex(self.raw(head), rb"^(HTTP/1.1 4(31|13|00) |$)")
        path = self.asked("/api/users/{user}/whatif").encode()
        body = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n" + b"a" * 200_000
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as link:
            link.sendall(body)
        self.assertEqual(self.ask("/healthz").status, 200)

    def test_lists_keep_coming_while_clients_misbehave(self):
        """Scrapers without a pause, and connections that dribble."""
        _, address = self.start_broker("crowded", "crowded")
        crowded = self.new("crowded", address)
        crowded.wait(lambda s: s["assigned"] > 0, "partitions")
        port, over, scraped = port_of(crowded), threading.Event(), []

        def scrape():
            while not over.is_set():
                scraped.extend(ask(port, path).status for path in ("/metrics", "/api/overview"))

        def dribble():
            links = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS_OF_AN_ADDRESS // 2)]
            while not over.wait(0.02):
                for link in links:
                    try:
                        link.sendall(b"G")
                    except OSError:
                        pass  # dropped, as it should be
            for link in links:
                link.close()

        threads = [threading.Thread(target=scrape) for _ in range(4)] + [threading.Thread(target=dribble)]
        for thread in threads:
            thread.start()
        try:
            crowded.ask("replay", EVENTS_FILE, "--limit", 2000, "--rate", 1000)
            status = crowded.wait_drained(2000)
        finally:
            over.set()
            for thread in threads:
                thread.join(DEADLINE_S)
        self.assertGreater(len(scraped), 100)
        self.assertEqual(set(scraped), {200})
        self.assertLess(status["latency"]["event_to_list_ms"]["p99"], P99_MS)


if __name__ == "__main__":
    main()
