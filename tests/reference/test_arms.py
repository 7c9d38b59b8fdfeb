"""The Python of docs/ARMS.md against the daemon's C: the same arm for every user, salt and list of shares.

Runs the block out of the page as it stands there. REFERENCE_BIN is tests/reference/arms.c, built.
"""

import os
import pathlib
import random
import re
import subprocess
import unittest

SEED = 20
EXPERIMENTS = 60
USERS = 500
ARMS_MAX = 16
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ARMS.md"
LETTERS = "abcxyz019-_:/ .äß語😀"


def code_of_the_page():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 1, f"{PAGE}: {len(blocks)} blocks of Python, not one"
    scope = {}
    exec(compile(blocks[0], str(PAGE), "exec"), scope)  # pylint: disable=exec-used
    return scope


def random_text(source, least, most):
    return "".join(source.choice(LETTERS) for _ in range(source.randint(least, most)))


def random_arms(source):
    """(name, share, kind) in a random order; the published shares sum to at most 1, sometimes to 1 exactly."""
    count = source.randint(0, ARMS_MAX - 1)
    total = source.choice([0.1, 0.5, 1, source.random()])
    weights = [source.choice([0, 1, source.expovariate(1)]) for _ in range(count)]
    kinds = ["shadow" if source.random() < 0.2 else "" for _ in range(count)]
    whole = sum(w for w, kind in zip(weights, kinds) if not kind) or 1
    shares = [source.random() if kind else total * w / whole for w, kind in zip(weights, kinds)]
    arms = [(f"arm{i}", share, kind) for i, (share, kind) in enumerate(zip(shares, kinds))]
    arms.insert(source.randint(0, count), ("control", 0.0, "control"))
    return arms


def ask_the_daemons_code(salt, arms, users):
    words = [f"{name}:{share!r}:{kind}".rstrip(":") for name, share, kind in arms]
    done = subprocess.run([os.environ["REFERENCE_BIN"], salt, *words], input="".join(u + "\n" for u in users).encode(),
                          stdout=subprocess.PIPE, check=True)
    return [line.split() for line in done.stdout.decode().splitlines()]


class Arms(unittest.TestCase):
    def setUp(self):
        print("seed", SEED)
        self.page = code_of_the_page()
        self.random = random.Random(SEED)

    def check(self, salt, arms):
        others = [(name, 0 if kind == "shadow" else share) for name, share, kind in arms if kind != "control"]
        owner = self.page["owners"](others)
        users = [random_text(self.random, 1, 40) for _ in range(USERS)]
        answers = ask_the_daemons_code(salt, arms, users)
        self.assertEqual(len(answers), USERS)
        for user, (index, shadows) in zip(users, answers):
            self.assertEqual(arms[int(index)][0], self.page["arm_of"](user, salt, owner), (salt, arms, user))
            for (name, share, kind), bit in zip(arms, shadows):
                expected = kind == "shadow" and self.page["shadowed"](user, salt, name, share)
                self.assertEqual(bit == "1", expected, (salt, arms, user, name))

    def test_the_page_and_the_daemon_agree_on_random_experiments(self):
        for _ in range(EXPERIMENTS):
            self.check(random_text(self.random, 0, 20), random_arms(self.random))

    def test_they_agree_where_rounded_shares_are_more_than_all(self):
        self.check("s", [("control", 0.0, "control")] + [(f"arm{i}", 1 / 7, "") for i in range(7)])

    def test_they_agree_on_one_arm_with_everybody(self):
        self.check("s", [("arm", 1.0, ""), ("control", 0.0, "control")])


if __name__ == "__main__":
    unittest.main()
