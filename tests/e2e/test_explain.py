#!/usr/bin/env python3
"""explain, whatif and similar: their numbers beside those computed apart, and beside what happens."""

import json
import math
import random
import threading

import numpy as np

from harness import EVENT_TYPES, EVENTS_FILE, EndToEnd, main, oracle

REPLAYED = 8000
SEED = 12
USERS = 10
FIRST_REPLAYED = 1000
ASKED_REPLAYED = 20_000  # while questions are asked; again, while too few are answered
REPLAYS_MAX = 20
RATE = 4000
ASKERS = 4
ANSWERS = 20
TYPES = {**EVENT_TYPES, "hated": {"weight": -0.7, "cap": 1, "hides": False}}
SETTINGS = {
    "train": {"first_events": 4000},
    # Every term weighs something, whatever would be fitted.
    "model": {"trend_weight": 0.3, "together_weight": 2.0},
    "impression": {"discount": 0.3, "max": 50},
}
# Parts are in float64 on both sides but for factors and counts, which both read alike, and the diagonal of
# A, which the product rounds to float32: 6e-8 of it, more where A is badly conditioned.
PART_TOLERANCE = 1e-5


class Parts(oracle.Model):
    """The oracle's scores, taken apart by what they are linear in."""

    def _amounts(self, user):
        """Each interaction's share of its item's c, 0 where it does not count, and {item: c}."""
        shares, of_item = [0.0] * len(user["interactions"]), {}
        rho, alpha = self.weights["rho"], self.hyper["alpha"]
        whole = oracle.confidences(
            user["interactions"], self.rules.types, alpha, rho, self.dump.now
        )
        used = [
            (at, entry) for at, entry in enumerate(user["interactions"])
            if self.rules.types[entry["type"]].weight != 0
        ]
        times = sorted({entry["ts"] for _, entry in used}, reverse=True)
        for at, entry in used:
            kind = self.rules.types[entry["type"]]
            age = self.dump.now - entry["ts"]
            decay = 2.0 ** -(age / kind.half_life_ms) if kind.half_life_ms else 1.0
            amount = abs(kind.weight) * decay * rho ** times.index(entry["ts"])
            of_item.setdefault((entry["item"], entry["type"]), []).append((at, amount))
        for (_, name), amounts in of_item.items():
            kind, total = self.rules.types[name], sum(amount for _, amount in amounts)
            for at, amount in amounts:
                scale = min(kind.cap, total) / total
                shares[at] = alpha * math.copysign(amount * scale, kind.weight)
        return shares, whole

    def _fold_in_parts(self, user, y):
        """y.A^-1 of what each interaction puts into the right-hand side."""
        shares, whole = self._amounts(user)
        known = {i: c for i, c in whole.items() if i in self.has_row and c != 0.0}
        rank, w0 = self.factors.shape[1], self.hyper["w0"]
        A = w0 * self.gram + self._lambda(len(known)) * np.eye(rank)
        for item, c in known.items():
            row = self.factors[self.column[item]]
            A = A + oracle.pair_of(c, self.hyper["objective"], w0)[0] * np.outer(row, row)
        parts = []
        for entry, share in zip(user["interactions"], shares):
            c = known.get(entry["item"], 0.0)
            q = oracle.pair_of(c, self.hyper["objective"], w0)[1] if c else 0.0
            b = (q * share / c if c else 0.0) * self.factors[self.column[entry["item"]]]
            parts.append(y @ np.linalg.solve(A, b))
        return parts

    def _walk(self, user, without=None):
        """x_u by steps, one of them without its q; in the eigenbasis."""
        g, V = np.linalg.eigh(self.gram)
        x, t, rate, w0 = np.zeros(len(g)), 0, self.rules.sgd_rate, self.hyper["w0"]
        for at, entry in enumerate(user["interactions"]):
            c = oracle.confidences(
                [entry], self.rules.types, self.hyper["alpha"], 1.0, entry["ts"]
            ).get(entry["item"], 0.0)
            if c == 0.0 or entry["item"] not in self.has_row:
                continue
            t += 1
            p, q = oracle.pair_of(c, self.hyper["objective"], w0)
            y = self.factors[self.column[entry["item"]]] @ V
            x = x / (1 + rate / t * (w0 * g + self._lambda(t)))
            q = 0.0 if at == without else q
            x = x + rate * (q - p * (x @ y)) / (1 + rate * max(p, 0.0) * (y @ y)) * y
        return V @ x

    def taste_parts(self, user, item):
        """What each interaction adds to a x_u.y_i, oldest first."""
        y, a = self.factors[self.column[item]], self.weights["taste"]
        if self.rules.update == "als":
            return [a * part for part in self._fold_in_parts(user, y)]
        whole = y @ self._walk(user)
        steps = range(len(user["interactions"]))
        return [a * (whole - y @ self._walk(user, without=at)) for at in steps]

    def together_parts(self, user, item):
        """[(j_d, rho^d, n, norm)]"""
        used = [e["item"] for e in user["interactions"] if self.rules.types[e["type"]].weight > 0]
        parts = []
        for distance, other in enumerate(oracle.latest_distinct(used, oracle.TOGETHER_WINDOW)):
            n = sum(count for neighbour, count in self._pairs_of(other) if neighbour == item)
            uses = [self.uses[self.column[i]] + oracle.TOGETHER_PRIOR for i in (item, other)]
            parts.append(
                (other, self.weights["together_rho"] ** distance, n, 1 / math.sqrt(uses[0] * uses[1]))
            )
        return parts

    def list_with(self, shown, scores):
        """The list once what was shown is discounted; shown: {item: times}."""
        scores = scores.copy()
        for item, times in shown.items():
            at = self.column[item]
            scores[at] -= abs(scores[at]) * (1 - 0.7**times) if np.isfinite(scores[at]) else 0
        return [self.items[column] for column in self.top(scores)], scores


class ExplainTest(EndToEnd):
    """A daemon by fold-in and one by steps; each has learned, trained, and is at rest."""

    def running(self, name, update):
        settings = {**SETTINGS, "model": {**SETTINGS["model"], "update": update}}
        freshet = self.freshet(name, settings, event_types=TYPES)
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", REPLAYED, "--shuffle-ties", 1)
        freshet.wait_drained(REPLAYED)
        freshet.wait_generation(1)
        self.records = REPLAYED
        self.random = random.Random(SEED)
        return freshet

    def send(self, freshet, *events):
        self.records += len(events)
        pairs = [(event["user"].encode(), json.dumps(event).encode()) for event in events]
        self.kafka.produce(freshet.topic, pairs)
        freshet.wait_drained(self.records)

    def ask(self, freshet, *arguments):
        return json.loads(freshet.ask(*arguments, "--json"))

    def model(self, freshet):
        dump = freshet.dump()
        return Parts(dump, oracle.live_generation(dump, freshet.state_dir), freshet.rules())

    def some_users(self, model):
        """Some with a long history, and any."""
        by_length = sorted(
            model.dump.users, key=lambda name: -len(model.dump.users[name]["interactions"])
        )
        return by_length[:3] + self.random.sample(sorted(by_length[3:]), USERS - 3)

    def assert_close(self, have, want, what):
        limit = PART_TOLERANCE * abs(want) + 1e-8
        self.assertLessEqual(abs(have - want), limit, f"{what}: have {have}, want {want}")

    # ---- explain

    def some_hate(self, freshet):
        """Users who hated something, and to whom something was shown and shown."""
        model = self.model(freshet)
        for name in self.some_users(model):
            scores = model.scores(model.dump.users[name])
            best = [model.items[column] for column in model.top(scores)]
            event = {"user": name, "ts": model.dump.now}
            self.send(
                freshet,
                {**event, "item": best[5], "type": "hated"},
                *[{**event, "item": best[0], "type": "impression", "ts": event["ts"] + i}
                  for i in range(3)],
            )

    def check(self, model, answer, name, item):
        """One answer against the oracle's parts."""
        user, terms = model.dump.users[name], answer["terms"]
        what = f"{name} {item}"
        events = [term for term in terms if term["kind"] == "taste"][::-1]
        self.assertEqual(
            [(e["item"], e["type"], e["ts"]) for e in events],
            [(e["item"], e["type"], e["ts"]) for e in user["interactions"]],
        )
        for term, want in zip(events, model.taste_parts(user, item)):
            self.assert_close(term["score"], want, f"{what} by {term['item']}")
        together = [term for term in terms if term["kind"] == "together"]
        parts = model.together_parts(user, item)
        self.assertEqual([t["item"] for t in together], [part[0] for part in parts])
        for term, (_, fade, n, norm) in zip(together, parts):
            self.assert_close(term["fade"], fade, what)
            self.assert_close(term["count"], n, what)
            self.assert_close(term["norm"], norm, what)
            self.assert_close(term["score"], model.weights["together"] * fade * n * norm, what)
        (trend,) = [term for term in terms if term["kind"] == "trend"]
        at = model.column[item]
        self.assert_close(trend["trend"], model.trend[at], what)
        self.assert_close(trend["score"], model.weights["trend"] * model.trend[at], what)
        self.assert_close(sum(term["score"] for term in terms), answer["score"], what)

    def check_place(self, model, answer, name, item):
        """Rank and reasons, against the list as the oracle has it."""
        user = model.dump.users[name]
        shown = {entry["item"]: entry["count"] for entry in user["shown"]}
        best, scores = model.list_with(shown, model.scores(user))
        what, at = f"{name} {item}", model.column[item]
        self.assertEqual(answer["eligible"], bool(np.isfinite(scores[at])), what)
        self.assertEqual(answer["list"]["count"], len(best))
        if answer["list"]["rank"] is None:
            self.assertTrue(answer["why"] or scores[at] <= scores[model.column[best[-1]]] + 1e-4)
            return
        listed = answer["list"]["score"]
        self.assertTrue(oracle.close(listed, answer["score"], 1e-6), f"{what}: {answer['list']}")
        self.assertTrue(oracle.close(listed, scores[at], 1e-6), what)
        ranked = scores[model.column[best[answer["list"]["rank"] - 1]]]
        self.assertTrue(oracle.close(listed, ranked, 1e-6), f"{what}: another is at this rank")

    def check_explained(self, freshet):
        self.some_hate(freshet)
        model = self.model(freshet)
        hated = discounted = 0
        for name in self.some_users(model):
            user = model.dump.users[name]
            best = [model.items[column] for column in model.top(model.scores(user))]
            items = best[:4] + self.random.sample(model.items, 3) + [user["interactions"][-1]["item"]]
            for item in items:
                answer = self.ask(freshet, "explain", name, item)
                self.check(model, answer, name, item)
                self.check_place(model, answer, name, item)
                hated += any(term.get("type") == "hated" for term in answer["terms"])
                discounted += answer["sums"]["impressions"] < 0
        self.assertGreater(hated, 0)
        self.assertGreater(discounted, 0)

    # ---- whatif

    def check_supposed(self, freshet):
        """What is supposed to come does come, and the list is the one foretold."""
        for round_, kind in enumerate(("played", "wishlist", "hated", "played")):
            model = self.model(freshet)
            name = self.some_users(model)[round_]
            items = self.random.sample(model.items, 1 + round_)
            before = self.ask(freshet, "explain", name, items[0])["now"]
            arguments = [f"+{item}" for item in items] + ["--type", kind]
            answer = self.ask(freshet, "whatif", name, *arguments)
            again = self.ask(freshet, "whatif", name, *arguments)
            self.assertEqual(answer, again, "nothing has changed by asking")
            self.assertEqual((answer["type"], answer["now"]), (kind, before))
            self.send(
                freshet,
                *[{"user": name, "item": i, "type": kind, "ts": answer["now"]} for i in items],
            )
            published = self.ask(freshet, "recommend", name)["items"]
            foretold = [place for place in answer["places"] if place["after"] is not None]
            self.assertEqual([place["item"] for place in foretold], [item for item, _ in published])
            for place, (_, score) in zip(foretold, published):
                self.assertTrue(oracle.close(place["score_after"], score, 1e-6), f"{place} {score}")
            left = {place["item"] for place in answer["places"] if place["after"] is None}
            self.assertEqual(len(left), answer["left"])
            self.assertEqual(answer["jaccard_distance"] > 0, answer["entered"] + answer["left"] > 0)

    # ---- similar

    def check_similar(self, freshet):
        model = self.model(freshet)
        lengths = np.linalg.norm(model.factors, axis=1)
        for item in self.random.sample(sorted(model.has_row), 5):
            answer = self.ask(freshet, "similar", item, "-n", 7)
            at = model.column[item]
            for near in answer["by_factors"]:
                other = model.column[near["item"]]
                cosine = model.factors[at] @ model.factors[other] / (lengths[at] * lengths[other])
                self.assertAlmostEqual(near["cosine"], cosine, delta=1e-5)
            known = [model.column[i] for i in model.items if i in model.has_row and i != item]
            cosines = model.factors[known] @ model.factors[at] / (lengths[known] * lengths[at])
            self.assertAlmostEqual(
                answer["by_factors"][-1]["cosine"], sorted(cosines)[-7], delta=1e-5
            )
            counted = {}
            for other, n in model._pairs_of(item):  # pylint: disable=protected-access
                counted[other] = counted.get(other, 0.0) + n
            for near in answer["by_together"]:
                uses = [
                    model.uses[model.column[i]] + oracle.TOGETHER_PRIOR
                    for i in (item, near["item"])
                ]
                want = counted[near["item"]] / math.sqrt(uses[0] * uses[1])
                self.assertAlmostEqual(near["cosine"], want, delta=1e-6)

    # ---- the tests

    def test_fold_in_is_explained_and_foretold(self):
        freshet = self.running("als", "als")
        self.check_explained(freshet)
        self.check_supposed(freshet)
        self.check_similar(freshet)
        self.check_people(freshet)

    def test_steps_are_explained_and_foretold(self):
        freshet = self.running("sgd", "sgd")
        self.check_explained(freshet)
        self.check_supposed(freshet)

    def test_questions_while_events_come_change_nothing(self):
        """Many at once, with training and swaps between them: state and lists are as without."""
        freshet = self.freshet("asked", event_types=TYPES)
        freshet.start()
        freshet.ask("replay", EVENTS_FILE, "--limit", FIRST_REPLAYED)
        freshet.wait_applied(FIRST_REPLAYED)
        known = self.model(freshet)
        answered, wrong, over = [], [], threading.Event()

        def ask_on(seed):
            draw = random.Random(seed)
            while not over.is_set():
                name, item = draw.choice(sorted(known.dump.users)), draw.choice(known.items)
                question = draw.choice(
                    (["explain", name, item], ["whatif", name, f"+{item}"], ["similar", item])
                )
                done = freshet.run(*question, "--json")
                (answered if done.returncode == 0 else wrong).append((question, done.stderr))

        threads = [threading.Thread(target=ask_on, args=(seed,)) for seed in range(ASKERS)]
        for thread in threads:
            thread.start()
        try:
            replays = self.replay_until(freshet, lambda: wrong or len(answered) >= ANSWERS)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(wrong, [])
        self.assert_two_equalities(freshet, FIRST_REPLAYED + replays * ASKED_REPLAYED)

    def replay_until(self, freshet, enough):
        """How often it took; once at least."""
        for replays in range(1, REPLAYS_MAX + 1):
            freshet.ask("replay", EVENTS_FILE, "--limit", ASKED_REPLAYED, "--rate", RATE)
            if enough():
                return replays
        self.fail(f"too few answers while {REPLAYS_MAX} replays went on")
        return None

    def check_people(self, freshet):
        """What is printed for people, strangers and mistakes."""
        model = self.model(freshet)
        name = self.some_users(model)[0]
        item = model.items[3]
        shown = freshet.ask("explain", name, item, "-n", 2)
        for word in ("taste", "trend", "together", "score", "more events", f"user {name}"):
            self.assertIn(word, shown)
        self.assertIn("entered", freshet.ask("whatif", name, f"+{item}"))
        self.assertIn("nearest by factors", freshet.ask("similar", item))
        stranger = self.ask(freshet, "explain", "a stranger", item)
        self.assertFalse(stranger["kept"])
        self.assertEqual({term["kind"] for term in stranger["terms"]}, {"trend"})
        unknown = self.ask(freshet, "explain", name, "no such item")
        self.assertEqual([why["reason"] for why in unknown["why"]], ["unknown"])
        interactions = model.dump.users[name]["interactions"]
        had = next(entry["item"] for entry in interactions if entry["type"] == "played")
        reasons = self.ask(freshet, "explain", name, had)["why"]
        self.assertEqual([why["reason"] for why in reasons], ["seen"])
        for status, arguments in (
            (65, ["whatif", name, "+no such item"]),
            (65, ["similar", "no such item"]),
            (64, ["whatif", name, f"+{item}", "--type", "no such type"]),
            (64, ["explain", name, item, "--arm", "no such arm"]),
        ):
            with self.subTest(arguments):
                self.assertEqual(freshet.run(*arguments).returncode, status)


if __name__ == "__main__":
    main()
