"""monitor/sequential.c against the formulas of docs/METRICS.md, said again in NumPy: from users, not from sums.

REFERENCE_BIN is tests/reference/sequential.c, built. What it prints must agree to 1e-9.
"""

import math
import os
import subprocess
import unittest

import numpy as np

SEED = 21
EXPERIMENTS = 400
CLOSE = 1e-9
AT, WEIGHTS = np.polynomial.hermite.hermgauss(20)
LOG_WEIGHTS = np.log(WEIGHTS)
USERS_MIN, SPREAD_MIN, RATE_SPREAD_MIN, CONCENTRATION = 100, 10, 50, 10000


def sums(n, s):
    return len(n), int(n.sum()), s.sum(), (n * n).sum(), (n * s).sum(), (s * s).sum()


def spread(x):
    return x.sum() ** 2 / (x * x).sum() if x.any() else 0


def variance(n, s):
    """Linearised: the variance of the mean of the users' deviations, in units of the mean number of events."""
    deviations = (s - s.sum() / n.sum() * n) / n.mean()
    return deviations.var(ddof=1) / len(n)


def variance_within(own, pool, least):
    """The rules 1 and 2 of monitor/sequential.h; NaN where nothing is said."""
    share = len(own[0]) / len(pool[0])
    misses = pool[0] - pool[1]
    if len(own[0]) < USERS_MIN or spread(own[0]) < least:
        return math.nan
    if min(spread(pool[1]), spread(misses)) * share < least:
        return math.nan
    return max(variance(*own), variance(*pool) / share)


def log_factor(difference, v, tau):
    """The mixture as it is defined: the integral of the likelihood ratio over N(0, tau^2), in log-space."""
    centre = difference * tau**2 / (v + tau**2)  # where the integrand is; substitution keeps the nodes there
    width = math.sqrt(2 * v * tau**2 / (v + tau**2))
    theta = centre + width * AT
    terms = LOG_WEIGHTS + AT**2 + (2 * theta * difference - theta**2) / (2 * v) - theta**2 / (2 * tau**2)
    top = terms.max()
    return top + math.log(np.exp(terms - top).sum()) + math.log(width / (math.sqrt(2 * math.pi) * tau))


def reach(v, tau, level):
    """Where the Bayes factor is 1/level, by bisection."""
    low, high = 0.0, 100 * (math.sqrt(v) + v / tau) * math.sqrt(-2 * math.log(level))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if log_factor(middle, v, tau) < -math.log(level) else (low, middle)
    return low


def logistic(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def log_ratio_factor(users, shares):
    """User by user, in any order: the predictive chance of his arm over its share."""
    total, done = 0.0, 0
    for n, share in zip(users, np.array(shares) / sum(shares)):
        rising = np.log(CONCENTRATION * share + np.arange(n)) - math.log(share)
        total += math.fsum(rising - np.log(CONCENTRATION + done + np.arange(n)))
        done += n
    return total


class Sequential(unittest.TestCase):
    def setUp(self):
        print("seed", SEED)
        self.random = np.random.default_rng(SEED)

    def ask(self, lines):
        done = subprocess.run([os.environ["REFERENCE_BIN"]], input="\n".join(lines) + "\n", text=True,
                              stdout=subprocess.PIPE, check=True)
        return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]

    def close(self, found, expected, what):
        both_nan = math.isnan(found) and math.isnan(expected)
        near = abs(found - expected) <= CLOSE * max(1, abs(expected))
        self.assertTrue(near or both_nan, f"{what}: {found!r}, not {expected!r}")

    def arm(self):
        users = int(self.random.choice([1, 50, 100, 300, 2000]))
        n = np.ceil(self.random.pareto(self.random.choice([1.5, 3]), users) * 5 + 1e-9)
        rate = self.random.beta(1, self.random.choice([1, 9, 200]), users)
        hits = self.random.binomial(n.astype(int), rate).astype(float)
        return n, hits * self.random.uniform(0.2, 1) if self.random.random() < 0.5 else hits

    def line(self, test, arm, control):
        numbers = [*test, *sums(*arm), *sums(*control)]
        return "rates " + " ".join(repr(float(x)) for x in numbers)

    def check_rates(self, found, test, arm, control):
        tau, level, drop = test
        pool = tuple(np.concatenate(pair) for pair in zip(arm, control))
        mean, control_mean = arm[1].sum() / arm[0].sum(), control[1].sum() / control[0].sum()
        v = variance_within(arm, pool, RATE_SPREAD_MIN)
        said = 0
        self.close(found[0], mean, "rate")
        if math.isnan(v):
            self.assertTrue(math.isnan(found[1]) and math.isnan(found[2]))
        elif mean > 0:
            around = reach(v, tau, level) / (mean * (1 - mean))
            middle = math.log(mean / (1 - mean))
            self.close(found[1], logistic(middle - around), "low")
            self.close(found[2], logistic(middle + around), "high")
        v, control_v = (variance_within(one, pool, SPREAD_MIN) for one in (arm, control))
        difference, both = mean - control_mean, v + control_v
        self.close(found[3], difference, "difference")
        self.close(found[6], difference / control_mean if control_mean else math.nan, "relative")
        if math.isnan(both):
            self.assertTrue(math.isnan(found[4]) and math.isnan(found[5]))
            self.assertEqual((found[7], found[8]), (1, 0))
        else:
            said = 1
            self.close(found[4], difference - reach(both, tau, level), "uplift's low")
            self.close(found[5], difference + reach(both, tau, level), "uplift's high")
            self.close(found[7], math.exp(-max(0, log_factor(difference, both, tau))), "p")
            contrast = mean - (1 - drop) * control_mean
            worse = contrast + reach(v + (1 - drop) ** 2 * control_v, tau, level) < 0
            self.assertEqual(found[8], worse)
        return said

    def test_rates_and_uplifts_agree_with_the_definitions(self):
        cases, lines = [], []
        for _ in range(EXPERIMENTS):
            test = (10 ** self.random.uniform(-3, 0), self.random.choice([0.05, 0.01]), self.random.choice([0, 0.1]))
            cases.append((test, self.arm(), self.arm()))
            lines += ["begin", self.line(*cases[-1])]
        said = sum(self.check_rates(found, *case) for found, case in zip(self.ask(lines), cases))
        self.assertGreater(said, EXPERIMENTS / 10)  # enough of the cases are about more than silence
        self.assertLess(said, EXPERIMENTS)

    def test_a_guard_turns_at_the_drop_at_which_the_definition_does(self):
        lines = ["begin"]
        for _ in range(20):
            control = self.random.poisson(20, 3000) + 1.0
            arm = self.random.poisson(20, 1500) + 1.0
            control = control, self.random.binomial(control.astype(int), 0.3).astype(float)
            arm = arm, self.random.binomial(arm.astype(int), 0.2).astype(float)
            pool = tuple(np.concatenate(pair) for pair in zip(arm, control))
            v, control_v = (variance_within(one, pool, SPREAD_MIN) for one in (arm, control))
            rate, control_rate = (one[1].sum() / one[0].sum() for one in (arm, control))
            low, high = 0.0, 1.0  # worse by `low`, not by `high`
            for _ in range(50):
                drop = (low + high) / 2
                kept = 1 - drop
                worse = rate - kept * control_rate + reach(v + kept**2 * control_v, 0.05, 0.05) < 0
                low, high = (drop, high) if worse else (low, drop)
            lines += [self.line((0.05, 0.05, low - 1e-7), arm, control), self.line((0.05, 0.05, low + 1e-7), arm, control)]
        self.assertEqual([found[8] for found in self.ask(lines)], [1, 0] * 20)

    def test_p_is_the_smallest_of_all_looks(self):
        arms = [(self.random.poisson(20, 500) + 1.0, None) for _ in range(2)]
        looks = []
        for rate in (0.1, 0.12, 0.105, 0.11):
            pair = [(n, self.random.binomial(n.astype(int), r).astype(float)) for (n, _), r in zip(arms, (rate, 0.1))]
            looks.append(self.line((0.01, 0.05, 0), *pair))
        together = [found[7] for found in self.ask(["begin", *looks])]
        apart = [self.ask(["begin", look])[0][7] for look in looks]
        self.assertEqual(together, list(np.minimum.accumulate(apart)))
        self.assertLess(min(together), 0.05)

    def test_the_sample_ratio_agrees_with_the_definition(self):
        for _ in range(60):
            count = int(self.random.integers(2, 8))
            shares = self.random.dirichlet(np.ones(count)) + 1e-3
            true = shares / shares.sum() * self.random.uniform(0.9, 1.1, count)
            users = self.random.multinomial(int(10 ** self.random.uniform(0, 5.5)), true / true.sum())
            words = [str(count), *map(str, users), *(repr(float(x)) for x in shares)]
            (p, evidence), = self.ask(["begin", "ratio " + " ".join(words)])
            expected = max(0, log_ratio_factor(users, shares))
            self.close(evidence, expected, "evidence")
            self.close(p, math.exp(-expected), "p")

    def test_the_sample_ratio_leaves_out_arms_without_a_share(self):
        with_it, = self.ask(["begin", "ratio 3 5200 77 4800 0.5 0 0.5"])
        without, = self.ask(["begin", "ratio 2 5200 4800 0.5 0.5"])
        self.assertEqual(with_it, without)


if __name__ == "__main__":
    unittest.main()
