"""Row 1: kill -9 at random moments."""

import random

from campaign import Case

EVENTS, RATE = 6000, 1500
KILLS = 4


def at_random(world, seed):
    chance = random.Random(seed)
    freshet = world.freshet().start()
    load = world.load(freshet, seed, EVENTS, RATE)
    for point in sorted(chance.sample(range(200, EVENTS * 3 // 4), KILLS)):
        freshet.wait_applied(point)
        freshet.kill()
        freshet.start()
    world.check(freshet, load)


CASES = [Case(1, "kill-at-random", at_random, short=True)]
