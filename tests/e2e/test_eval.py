#!/usr/bin/env python3
"""`freshet eval` and `freshet tune`: every figure made again from the recording and the dumped lists, with NumPy."""

import collections
import json
import math
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import numpy as np

from harness import BINARY, COMMAND_S

START_MS = 1_600_000_000_000
HOUR_MS = 3_600_000
SEED = 20_000
KS = [5, 20]
DEPTH = 20
METHODS = ["popular", "recent", "cooccurrence", "als", "freshet"]
EXACT = 1e-9  # both sides sum some thousands of float64 numbers of at most 20
MASK = (1 << 64) - 1


# -- a recording, and the order in which it is judged -----------------------------------------------------------------


def make_recording(seed=3, events=2400, users=80, items=160):
    """Visits of several lines of one moment, ratings of 1 to 10, two types, repeats, users who come once."""
    rng = random.Random(seed)
    lines, ts_ms = [], START_MS
    while len(lines) < events:
        ts_ms += int(rng.expovariate(1) * 6 * HOUR_MS)
        user = int(users * rng.random() ** 2)
        if rng.random() < 0.03:
            lines.append((ts_ms, f"once{len(lines)}", f"i{user}", "played", 5))
        for _ in range(rng.choice([1, 1, 2, 5])):
            item = (user % 4 * 40 + int(40 * rng.random() ** 2)) % items
            lines.append((ts_ms, f"u{user}", f"i{item}", rng.choice(["played", "wishlist"]), rng.randint(1, 10)))
    return lines[:events]


def write_recording(path, lines):
    path.write_text("ts_ms\tuser\titem\tevent\tvalue\n" + "".join("\t".join(map(str, line)) + "\n" for line in lines))


def splitmix64(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        yield z ^ z >> 31


def arrange(lines, seed):
    """By time; equal times mixed by Fisher and Yates."""
    lines, draws = sorted(lines, key=lambda line: line[0]), splitmix64(seed)
    begin = 0
    while begin < len(lines):
        end = begin
        while end < len(lines) and lines[end][0] == lines[begin][0]:
            end += 1
        for left in range(end - begin, 1, -1):
            other, last = begin + next(draws) % left, begin + left - 1
            lines[other], lines[last] = lines[last], lines[other]
        begin = end
    return lines


# -- the formulas of docs/METRICS.md ----------------------------------------------------------------------------------


def rate(ranked, relevant):
    """One unit's numbers. ranked: items, best first; relevant: a set."""
    hits = [item in relevant for item in ranked] + [False] * (DEPTH - len(ranked))
    row = {}
    for k in KS:
        found = sum(hits[:k])
        row[f"hit@{k}"] = float(found > 0)
        row[f"precision@{k}"] = found / k
        row[f"recall@{k}"] = found / len(relevant)
        row[f"map@{k}"] = sum(sum(hits[: r + 1]) / (r + 1) for r in range(k) if hits[r]) / min(len(relevant), k)
        row[f"ndcg@{k}"] = sum(1 / math.log2(r + 2) for r in range(k) if hits[r]) / sum(
            1 / math.log2(r + 2) for r in range(min(len(relevant), k))
        )
    row["mrr@20"] = next((1 / (r + 1) for r in range(20) if hits[r]), 0.0)
    return row


def clustered(values, users):
    """Mean, and its standard error with a user's values taken as one."""
    values, (_, clusters) = np.asarray(values, float), np.unique(users, return_inverse=True)
    sums = np.bincount(clusters, values - values.mean())
    return values.mean(), math.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values)


def jaccard_distance(a, b, k):
    a, b = set(a[:k]), set(b[:k])
    return 1 - len(a & b) / len(a | b) if a | b else 0.0


def rbo(a, b, p=0.9):
    depth = min(len(a), len(b))
    agreement = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, depth + 1)]
    return agreement[-1] * p**depth + (1 - p) / p * sum(x * p**d for d, x in enumerate(agreement, 1))


def read_generation(path):
    """Item factors by id, out of a generation file (model/generation.h)."""
    raw = path.read_bytes()
    (items,) = struct.unpack_from("<Q", raw, 32)
    rank, stride = struct.unpack_from("<II", raw, 40)
    manifest_at, manifest_bytes, ids_at, factors_at = struct.unpack_from("<QQQQ", raw, 48)
    manifest = json.loads(raw[manifest_at : manifest_at + manifest_bytes])
    begin = struct.unpack_from(f"<{items + 1}I", raw, ids_at)
    text = ids_at + 4 * (items + 1)
    ids = [raw[text + begin[i] : text + begin[i + 1]].decode() for i in range(items)]
    factors = np.frombuffer(raw, np.float32, items * stride, factors_at).reshape(items, stride)[:, :rank]
    return manifest, dict(zip(ids, factors.astype(float)))


def diversity(ranked, factors):
    known = [factors[item] for item in ranked if item in factors and np.any(factors[item])]
    if len(known) < 2:
        return None
    unit = np.array([y / np.linalg.norm(y) for y in known])
    cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return 1 - cosines.mean()


def freshet(*arguments, check=True):
    done = subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, timeout=COMMAND_S, check=False, text=True
    )
    if check and done.returncode != 0:
        raise AssertionError(f"freshet {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}")
    return done


class EvalTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="freshet-eval-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.recording = self.folder / "events.tsv"
        self.lines = make_recording()
        write_recording(self.recording, self.lines)
        self.config = self.folder / "settings.yaml"
        self.config.write_text("model:\n  rank: 8\ntrain:\n  keep: 100\n  iterations: 4\n")

    def eval(self, *options, recording=None):
        done = freshet("eval", recording or self.recording, "--config", self.config, "--json", "--k", "5,20", *options)
        return json.loads(done.stdout)

    def dumped(self, path):
        """{method: [(event, user, list)]} and {method: {event: list after}}."""
        before, after = collections.defaultdict(list), collections.defaultdict(dict)
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if "list" in line:
                before[line["method"]].append((line["event"], line["user"], line["list"]))
            else:
                after[line["method"]][line["event"]] = line["after"]
        return before, after

    def compare(self, told, made):
        for name, value in made.items():
            with self.subTest(name):
                self.assertAlmostEqual(told[name], value, delta=EXACT)

    def compare_means(self, result, rows, users):
        """rows: {method: [numbers of a unit]}"""
        for method in METHODS:
            made = {name: clustered([row[name] for row in rows[method]], users) for name in rows[method][0]}
            self.compare(result["methods"][method], {name: mean for name, (mean, _) in made.items()})
            self.compare(
                result["methods"][method]["se"],
                {name: se for name, (_, se) in made.items() if name.split("@")[0] in ("hit", "ndcg", "mrr")},
            )
            if method == "freshet":
                continue
            paired = {
                name: clustered([a[name] - b[name] for a, b in zip(rows["freshet"], rows[method])], users)
                for name in made
                if name.split("@")[0] in ("hit", "ndcg", "mrr")
            }
            self.compare(result["paired"][f"freshet-{method}"], {name: mean for name, (mean, _) in paired.items()})
            self.compare(result["paired"][f"freshet-{method}"]["se"], {name: se for name, (_, se) in paired.items()})

    def compare_values(self, result, lists, relevant, threshold):
        """relevant: a unit's {item: value}"""
        for method in METHODS:
            for k in KS:
                hits = collections.Counter()
                total = collections.Counter()
                for (_, _, ranked), values in zip(lists[method], relevant):
                    for item, value in values.items():
                        total[value] += 1
                        hits[value] += item in ranked[:k]
                rhr = {str(value): hits[value] / total[value] for value in total}
                self.assertEqual(set(rhr), set(result["methods"][method][f"rhr@{k}"]))
                self.compare(result["methods"][method][f"rhr@{k}"], rhr)
                chosen = [value for value in total if value >= threshold]
                self.compare(
                    result["methods"][method],
                    {f"chr@{k}": sum(hits[v] for v in chosen) / sum(total[v] for v in chosen)},
                )


class PrequentialTest(EvalTest):
    def setUp(self):
        super().setUp()
        self.dump, self.kept = self.folder / "dump", self.folder / "kept"
        self.result = self.eval("--dump", self.dump, "--keep", self.kept, "--retrains", 5, "--seed", SEED)
        self.stream = arrange(self.lines, SEED)
        self.begin = int(0.6 * len(self.stream))
        seen = set()
        self.new = []
        for _, user, item, *_ in self.stream:
            self.new.append((user, item) not in seen)
            seen.add((user, item))
        self.judged = [at for at in range(self.begin, len(self.stream)) if self.new[at]]
        self.before, self.after = self.dumped(self.dump)

    def rows(self):
        return {
            method: [rate(ranked, {self.stream[event][2]}) for event, _, ranked in self.before[method]]
            for method in METHODS
        }

    def test_every_event_new_to_its_user_is_judged_by_every_method(self):
        for method in METHODS:
            self.assertEqual([event for event, _, _ in self.before[method]], self.judged)
            self.assertEqual([user for _, user, _ in self.before[method]], [self.stream[at][1] for at in self.judged])
        self.assertEqual(self.result["judged"], len(self.judged))
        self.assertEqual(self.result["judged_all"], len(self.stream) - self.begin)

    def test_accuracy_agrees(self):
        self.compare_means(self.result, self.rows(), [self.stream[at][1] for at in self.judged])

    def test_accuracy_over_all_events_counts_repeats_as_misses(self):
        for method, rows in self.rows().items():
            share = len(rows) / (len(self.stream) - self.begin)
            self.compare(
                self.result["methods"][method]["all"],
                {name: np.mean([row[name] for row in rows]) * share for name in ("hit@5", "ndcg@20", "mrr@20")},
            )

    def test_hit_rates_by_value_agree(self):
        values = sorted(self.stream[at][4] for at in self.judged)
        self.assertEqual(self.result["chr_min"], values[(len(values) - 1) // 2])
        self.compare_values(
            self.result,
            self.before,
            [{self.stream[at][2]: self.stream[at][4]} for at in self.judged],
            self.result["chr_min"],
        )

    def test_coverage_and_novelty_agree(self):
        uses, total, at = collections.Counter(), 0, 0
        novelty = collections.defaultdict(list)
        lists = {method: {event: ranked for event, _, ranked in self.before[method]} for method in METHODS}
        for at, (_, _, item, *_) in enumerate(self.stream):
            if at in lists["popular"]:
                for method in METHODS:
                    novelty[method].append(np.mean([-math.log2(uses[i] / total) for i in lists[method][at]]))
            uses[item] += 1
            total += 1
        for method in METHODS:
            users = {user: True for _, user, _ in self.before[method]}
            for _, user, ranked in self.before[method]:
                users[user] &= len(ranked) == DEPTH
            shown = {item for _, _, ranked in self.before[method] for item in ranked}
            self.compare(
                self.result["methods"][method],
                {
                    "novelty": np.mean(novelty[method]),
                    "user_coverage": np.mean(list(users.values())),
                    "catalogue_coverage": len(shown) / len(uses),
                },
            )

    def test_churn_and_changes_agree(self):
        for method in METHODS:
            last, distances = {}, collections.defaultdict(list)
            for _, user, ranked in self.before[method]:
                if user in last:
                    for k in KS:
                        distances[f"churn@{k}"].append(jaccard_distance(last[user], ranked, k))
                    distances["rank_churn"].append(1 - rbo(last[user], ranked))
                last[user] = ranked
            self.assertEqual(len(self.after[method]), len(self.judged))
            changed = [ranked != self.after[method][event] for event, _, ranked in self.before[method]]
            self.compare(
                self.result["methods"][method],
                {**{name: np.mean(values) for name, values in distances.items()}, "changed_by_event": np.mean(changed)},
            )

    def test_diversity_agrees_with_the_factors_that_were_live(self):
        live, generations = None, sorted((self.kept / "generations").iterdir())
        self.assertEqual(len(generations), 4)
        cuts = {int(len(self.stream) * n / 5): path for n, path in zip(range(1, 5), generations)}
        lists = {method: {event: ranked for event, _, ranked in self.before[method]} for method in METHODS}
        found = collections.defaultdict(list)
        for at in range(len(self.stream)):
            if at in cuts:
                manifest, factors = read_generation(cuts[at])
                live = factors if manifest["gate"] != "refused" else live
            if at in lists["popular"]:
                for method in METHODS:
                    found[method].append(diversity(lists[method][at], live))
        for method in METHODS:
            self.compare(
                self.result["methods"][method],
                {"diversity": np.mean([value for value in found[method] if value is not None])},
            )

    def test_popular_is_what_was_used_most_and_recent_what_was_used_lately(self):
        hours = {"10m": 1 / 6, "1h": 1, "6h": 6, "1d": 24, "1w": 168, "30d": 720, "1y": 8760}
        half_life_ms = hours[self.result["chosen"]["recent_half_life"]] * HOUR_MS
        counts, decayed, last_ms = collections.Counter(), collections.Counter(), START_MS
        met = collections.defaultdict(set)
        lists = {method: {event: ranked for event, _, ranked in self.before[method]} for method in METHODS}
        for at, (ts_ms, user, item, *_) in enumerate(self.stream):
            if at in lists["popular"]:
                free = [i for i in counts if i not in met[user]]
                self.assertEqual(lists["popular"][at], sorted(free, key=lambda i: (-counts[i], i))[:DEPTH])
                # The trend is float32: what differs by less than some of its last places may stand in any order.
                ranked, slack = lists["recent"][at], 4 * 2**-24
                scores = [math.log1p(decayed[i]) for i in ranked]
                self.assertTrue(all(a >= b - slack * (1 + b) for a, b in zip(scores, scores[1:])), at)
                best = sorted((math.log1p(decayed[i]) for i in free), reverse=True)[: len(ranked)]
                np.testing.assert_allclose(scores, best, rtol=0, atol=slack * (1 + best[0]))
            fade = 0.5 ** ((ts_ms - last_ms) / half_life_ms)
            for i in decayed:
                decayed[i] *= fade
            last_ms = ts_ms
            counts[item] += 1
            decayed[item] += 1
            met[user].add(item)

    def test_threads_change_no_figure(self):
        again = self.eval("--retrains", 5, "--seed", SEED, "--threads", 1)
        other = self.eval("--retrains", 5, "--seed", SEED, "--threads", 3)
        for result in (self.result, again, other):
            del result["seconds"]
        self.assertEqual(again, self.result)
        self.assertEqual(other, self.result)

    def test_nothing_of_the_future_is_known(self):
        """What came after the judged part might as well not have happened."""
        until_ms = self.stream[2000][0]
        cut = self.folder / "cut.tsv"
        write_recording(cut, [line for line in self.lines if line[0] < until_ms])
        part = ["--from", self.stream[1400][0], "--to", until_ms, "--every", "20d", "--seed", SEED]
        whole, first = self.eval(*part), self.eval(*part, recording=cut)
        self.assertEqual(whole["methods"], first["methods"])
        self.assertEqual(whole["chosen"], first["chosen"])

    def test_a_sample_is_judged_as_in_the_whole(self):
        dump = self.folder / "sample"
        result = self.eval("--dump", dump, "--retrains", 5, "--seed", SEED, "--sample", 100)
        self.assertEqual(result["judged_all"], 100)
        sampled, _ = self.dumped(dump)
        for method in METHODS:
            whole = {event: ranked for event, _, ranked in self.before[method]}
            self.assertTrue(sampled[method])
            for event, _, ranked in sampled[method]:
                self.assertEqual(ranked, whole[event])


class FrozenTest(EvalTest):
    def check(self, result, lists, relevant):
        """relevant: {user: {item: value}}, for those who are judged."""
        for method in METHODS:
            self.assertEqual(sorted(user for _, user, _ in lists[method]), sorted(relevant))
        users = [user for _, user, _ in lists["popular"]]
        rows = {method: [rate(ranked, set(relevant[user])) for _, user, ranked in lists[method]] for method in METHODS}
        self.compare_means(result, rows, users)
        self.compare_values(result, lists, [relevant[user] for user in users], result["chr_min"])

    def test_split_judges_what_is_new_to_a_user_after_the_cut(self):
        dump = self.folder / "dump"
        result = self.eval("--protocol", "split", "--dump", dump, "--seed", SEED)
        stream = arrange(self.lines, SEED)
        begin, met, relevant = int(0.6 * len(stream)), set(), collections.defaultdict(dict)
        for at, (_, user, item, _, value) in enumerate(stream):
            if (user, item) not in met and at >= begin:
                relevant[user][item] = value
            met.add((user, item))
        self.check(result, self.dumped(dump)[0], relevant)
        self.assertGreater(max(map(len, relevant.values())), KS[0])  # the bounds of MAP and NDCG are in play

    def test_leave_last_out_judges_the_last_item_new_to_a_user(self):
        dump = self.folder / "dump"
        result = self.eval("--protocol", "leave-last-out", "--dump", dump, "--seed", SEED)
        first = {}
        for at, (_, user, item, _, value) in enumerate(arrange(self.lines, SEED)):
            first.setdefault(user, {}).setdefault(item, (at, value))
        relevant = {}
        for user, items in first.items():
            if len(items) > 1:
                item, (_, value) = max(items.items(), key=lambda entry: entry[1][0])
                relevant[user] = {item: value}
        lists = self.dumped(dump)[0]
        self.check(result, lists, relevant)
        counts = collections.Counter(item for _, user, item, *_ in self.lines if item not in relevant.get(user, {}))
        for _, user, ranked in lists["popular"]:  # nothing of what is held out was learned
            free = [item for item in counts if item not in first[user] or item in relevant[user]]
            self.assertEqual(ranked, sorted(free, key=lambda item: (-counts[item], item))[:DEPTH])


class CommandTest(EvalTest):
    def test_a_bad_line_is_named_and_ends_it(self):
        bad = self.folder / "bad.tsv"
        bad.write_text("ts_ms\tuser\titem\tevent\tvalue\n1\tu\ti\tplayed\t1\n2\tu\ti\tplayed\n")
        for command in ("eval", "tune"):
            done = freshet(command, bad, check=False)
            self.assertEqual(done.returncode, 65)
            self.assertIn(f"{bad}:3", done.stderr)

    def test_options_that_make_no_sense_exit_64(self):
        for options in (
            ["--k", "0"],
            ["--k", "5,5"],
            ["--methods", "best"],
            ["--protocol", "x"],
            ["--from", "x"],
            ["--from", "0.9", "--to", "0.5"],
            ["--every", "5"],
            ["--every", "1d", "--retrains", "3"],
            ["--sample", "0"],
        ):
            with self.subTest(options):
                done = freshet("eval", self.recording, *options, check=False)
                self.assertEqual((done.returncode, done.stdout), (64, ""))

    def test_a_type_that_is_not_in_the_settings_weighs_one(self):
        named = self.folder / "named.yaml"
        named.write_text(self.config.read_text() + "events:\n  played: {weight: 1}\n")
        both = self.folder / "both.yaml"
        both.write_text(self.config.read_text() + "events:\n  played: {weight: 1}\n  wishlist: {weight: 1}\n")
        results = []
        for config in (named, both):
            self.config = config
            results.append(self.eval("--retrains", 3, "--sample", 200)["methods"])
        self.assertEqual(*results)

    def test_the_table_has_every_method_and_figure(self):
        done = freshet("eval", self.recording, "--config", self.config, "--retrains", 2, "--sample", 50)
        for word in (*METHODS, "hit@10", "mrr@20", "ndcg@20", "novelty", "churn@20", "half-life"):
            self.assertIn(word, done.stdout)

    def test_a_signal_ends_it_and_leaves_nothing_behind(self):
        private = self.folder / "tmp"
        private.mkdir()
        running = subprocess.Popen(
            [BINARY, "eval", self.recording, "--retrains", "2000"],
            env={"TMPDIR": str(private)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + COMMAND_S
        while not any(private.glob("*/generations/*.gen")):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(running.poll())
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=COMMAND_S)
        self.assertEqual(running.returncode, 128 + signal.SIGTERM)
        self.assertEqual(out, "")
        self.assertIn("interrupted", err)
        self.assertEqual(list(private.iterdir()), [])

    def test_tune_prints_settings_that_eval_takes(self):
        done = freshet("tune", self.recording, "--config", self.config, "--budget", 5, "--seed", SEED)
        trials = [line for line in done.stdout.splitlines() if "ndcg@20" in line and "rank" in line]
        self.assertEqual(len(trials), 5)
        self.config.write_text(done.stdout)
        self.eval("--retrains", 2, "--sample", 50)
        again = freshet("tune", self.recording, "--config", self.folder / "again.yaml", "--budget", 5, check=False)
        self.assertEqual(again.returncode, 78)


if __name__ == "__main__":
    print(f"seed {SEED}")
    unittest.main(verbosity=2)
