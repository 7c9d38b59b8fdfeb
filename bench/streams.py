"""Generated streams, in the form of the recorded ones (ts_ms user item event value), each drawn from a seed.

    stationary  tastes and items stay what they are
    drifting    items come and go over months, tastes wander
    bursty      users come seldom, for twenty lines of one moment around one theme; items are promoted for a day
    news        items live for hours, a new one every few minutes
    one-item    there is one item
    random      users, items and times at random: nothing can be learned

bench/streams.py NAME [--seed N] [--events N] > FILE.tsv. Standard library alone; the same everywhere for the same seed.
"""

import argparse
import bisect
import math
import random
import sys

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GENRES = 12


class Drawer:
    """Draws an index by weight."""

    def __init__(self, weights):
        self.sums = []
        total = 0.0
        for weight in weights:
            total += weight
            self.sums.append(total)

    def draw(self, rng):
        return bisect.bisect_right(self.sums, rng.random() * self.sums[-1])


def zipf(count, exponent):
    return [1 / (rank + 1) ** exponent for rank in range(count)]


def normal(rng):
    """Box and Muller: of random() alone, whose sequence Python promises to keep."""
    return math.sqrt(-2 * math.log(1 - rng.random())) * math.cos(2 * math.pi * rng.random())


def make_taste(rng, sharpness=2.0):
    """How much a user likes each genre: a few a lot."""
    return [math.exp(sharpness * normal(rng)) for _ in range(GENRES)]


def unmet(rng, drawer, genre_items, met, tries=8):
    """An item by weight, if possible one that the user has not met."""
    for _ in range(tries):
        item = genre_items[drawer.draw(rng)]
        if item not in met:
            break
    met.add(item)
    return item


def times(rng, count, span_ms):
    """Sorted, at random."""
    return sorted(START_MS + int(rng.random() * span_ms) for _ in range(count))


def stationary(rng, events, users=2000, items=1500, days=180):
    activity = Drawer(zipf(users, 0.8))
    tastes = [Drawer(make_taste(rng)) for _ in range(users)]
    shelves = [[f"i{n}" for n in range(items) if n % GENRES == genre] for genre in range(GENRES)]
    weights = [Drawer(zipf(len(shelf), 0.9)) for shelf in shelves]
    met = [set() for _ in range(users)]
    for ts_ms in times(rng, events, days * DAY_MS):
        user = activity.draw(rng)
        genre = tastes[user].draw(rng)
        yield ts_ms, f"u{user}", unmet(rng, weights[genre], shelves[genre], met[user])


def drifting(rng, events, users=2000, items=2500, days=360):
    """An item is born some day, rises for weeks and fades for months; a taste walks a little with every event."""
    activity = Drawer(zipf(users, 0.8))
    tastes = [make_taste(rng) for _ in range(users)]
    born = [(rng.random() * 1.3 - 0.3) * days for _ in range(items)]
    appeal = [math.exp(1.2 * normal(rng)) for _ in range(items)]
    shelves = [[n for n in range(items) if n % GENRES == genre] for genre in range(GENRES)]
    names = [[f"i{n}" for n in shelf] for shelf in shelves]
    met = [set() for _ in range(users)]
    day, weights = -1, []
    for ts_ms in times(rng, events, days * DAY_MS):
        if (ts_ms - START_MS) // DAY_MS != day:
            day = (ts_ms - START_MS) // DAY_MS
            weights = [Drawer([appeal[n] * life(day - born[n]) for n in shelf]) for shelf in shelves]
        user = activity.draw(rng)
        taste = tastes[user]
        genre = Drawer(taste).draw(rng)
        walked = int(rng.random() * GENRES)
        taste[walked] *= math.exp(0.5 * normal(rng))
        yield ts_ms, f"u{user}", unmet(rng, weights[genre], names[genre], met[user])


def life(age_days):
    """Rises within a week, fades with a half-life of forty days; a little before, so that no shelf is empty."""
    return 1e-6 if age_days < 0 else min(1.0, (age_days + 1) / 7) * 0.5 ** (age_days / 40) + 1e-6


def bursty(rng, events, users=1500, items=2000, days=300):
    """Visits: lines of one moment around a theme of thirty items; every day some items are promoted."""
    activity = Drawer(zipf(users, 0.6))
    themes = [[f"i{int(rng.random() * items)}" for _ in range(30)] for _ in range(120)]
    likes = [Drawer(make_taste(rng, 1.5) * (len(themes) // GENRES)) for _ in range(users)]
    by_rank = Drawer(zipf(30, 0.5))
    written = 0
    for ts_ms in times(rng, events // 10, days * DAY_MS):
        user = activity.draw(rng)
        theme = themes[likes[user].draw(rng)]
        day = (ts_ms - START_MS) // DAY_MS
        for _ in range(1 + int(rng.random() * 19)):
            if written == events:
                return
            written += 1
            if rng.random() < 0.25:
                item = f"i{(day * 7919 + int(rng.random() * 5)) % items}"
            else:
                item = theme[by_rank.draw(rng)]
            yield ts_ms, f"u{user}", item


def news(rng, events, users=3000, days=14, half_life_hours=5, articles_a_day=220):
    """Readers take what is new; an article's appeal is its own, its readers' interests do not change."""
    activity = Drawer(zipf(users, 0.5))
    tastes = [Drawer(make_taste(rng, 1.0)) for _ in range(users)]
    count = days * articles_a_day
    born = sorted(START_MS + int((rng.random() * (days + 1) - 1) * DAY_MS) for _ in range(count))
    appeal = [math.exp(1.5 * normal(rng)) for _ in range(count)]
    genre_of = [int(rng.random() * GENRES) for _ in range(count)]
    met = [set() for _ in range(users)]
    until, weights, names = 0, [], []
    for ts_ms in times(rng, events, days * DAY_MS):
        if ts_ms >= until:
            until = ts_ms + HOUR_MS // 6
            alive = [n for n in range(count) if 0 <= ts_ms - born[n] < 2 * DAY_MS]
            shelves = [[n for n in alive if genre_of[n] == genre] or alive for genre in range(GENRES)]
            weights = [
                Drawer([appeal[n] * 0.5 ** ((ts_ms - born[n]) / (half_life_hours * HOUR_MS)) for n in shelf])
                for shelf in shelves
            ]
            names = [[f"i{n}" for n in shelf] for shelf in shelves]
        user = activity.draw(rng)
        genre = tastes[user].draw(rng)
        yield ts_ms, f"u{user}", unmet(rng, weights[genre], names[genre], met[user])


def one_item(rng, events, users=5000, days=60):
    for ts_ms in times(rng, events, days * DAY_MS):
        yield ts_ms, f"u{int(rng.random() * users)}", "i0"


def chance(rng, events, users=2000, items=1000, days=60):
    for ts_ms in times(rng, events, days * DAY_MS):
        yield ts_ms, f"u{int(rng.random() * users)}", f"i{int(rng.random() * items)}"


STREAMS = {
    "stationary": (stationary, 60000),
    "drifting": (drifting, 60000),
    "bursty": (bursty, 60000),
    "news": (news, 60000),
    "one-item": (one_item, 20000),
    "random": (chance, 40000),
}


def write(name, out, seed=1, events=None):
    make, usual = STREAMS[name]
    out.write("ts_ms\tuser\titem\tevent\tvalue\n")
    for ts_ms, user, item in make(random.Random(f"{name} {seed}"), events or usual):
        out.write(f"{ts_ms}\t{user}\t{item}\tuse\t1\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=STREAMS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, help="how many, at most")
    options = parser.parse_args()
    write(options.name, sys.stdout, options.seed, options.events)


if __name__ == "__main__":
    main()
