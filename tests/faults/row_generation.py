"""Row 7: generation files that are damaged, handed to a daemon as a training or a rollback would:
each is refused by name, and the generation that is live goes on."""

import json
import random
import socket
import struct

import xxhash

import harness
from campaign import Case

EVENTS, RATE = 3000, 1000
CUTS, FLIPS = 60, 120
# Offsets in the file's header (model/generation.h).
AT_VERSION, AT_ORDER, AT_CHECKSUM, AT_BODY, AT_ITEMS, AT_RANK = 8, 12, 16, 24, 32, 40
AT_IDS, AT_FACTORS = 64, 72
NO_NEWS = 3  # generations handed in without being asked for
SETTINGS = {"train": {"every": "30d", "min_events": 1_000_000}}


def ask(freshet, **request):
    """One request on the control socket: the answer."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(harness.COMMAND_S)
        link.connect(str(freshet.state_dir / "control.sock"))
        link.sendall(json.dumps(request).encode() + b"\n")
        with link.makefile() as lines:
            return json.loads(lines.readline())


def path_of(freshet, number):
    return freshet.state_dir / "generations" / f"{number:08}.gen"


def signed(image):
    """With the checksum that it should have, as a faulty maker would write it."""
    image = bytearray(image)
    struct.pack_into("<Q", image, AT_CHECKSUM, xxhash.xxh3_64_intdigest(bytes(image[AT_BODY:])))
    return bytes(image)


def put(image, form, at, value):
    image = bytearray(image)
    struct.pack_into(form, image, at, value)
    return bytes(image)


def get(image, form, at):
    return struct.unpack_from(form, image, at)[0]


def swapped_header(image):
    """As a machine of the other byte order would have written it."""
    image = bytearray(image)
    for form, at in [("I", AT_VERSION), ("I", AT_ORDER), ("I", AT_RANK), ("I", AT_RANK + 4)] + [
        ("Q", at) for at in (AT_CHECKSUM, AT_BODY, AT_ITEMS, 48, 56, AT_IDS, AT_FACTORS)
    ]:
        struct.pack_into(">" + form, image, at, get(image, "<" + form, at))
    return bytes(image)


def damaged(image, chance):
    """(what is wrong with it, the file, a word of the refusal)."""
    cuts = {0, 1, AT_BODY, 79, 80, len(image) - 1}
    cuts |= {chance.randrange(len(image)) for _ in range(CUTS)}
    for length in sorted(cuts):
        yield f"cut to {length} bytes", image[:length], ""
    for _ in range(FLIPS):
        at, bit = chance.randrange(len(image)), 1 << chance.randrange(8)
        yield f"byte {at} flipped", put(image, "B", at, image[at] ^ bit), ""
    factors = get(image, "<Q", AT_FACTORS)
    rank = get(image, "<I", AT_RANK)
    for value in (float("nan"), float("inf")):
        at = factors + 4 * chance.randrange(rank)
        yield f"a factor is {value}", signed(put(image, "<f", at, value)), "finite"
    for wrong in (0, rank - 1, rank + 1, 1 << 20):
        yield f"rank {wrong}", signed(put(image, "<I", AT_RANK, wrong)), "rank"
    yield "too many items", signed(put(image, "<Q", AT_ITEMS, 1 << 40)), "out of place"
    yield "another version", signed(put(image, "<I", AT_VERSION, 99)), "version"
    yield "the other byte order", swapped_header(image), "byte order"
    yield "grown", image + b"\0", "grown"
    yield "nothing of ours", b"\0" * len(image), "not a generation"


def assert_goes_on(freshet, before, what):
    """The old one serves."""
    freshet.check_alive()
    after = freshet.status()["generation"]
    for key in ("number", "swaps", "in_memory"):
        assert after[key] == before[key], f"{what}: {key} was {before[key]}, is {after[key]}"


def refuse_rollback(freshet, path, number, before, image, what, word):
    path.write_bytes(image)
    answer = ask(freshet, cmd="rollback", generation=number)
    assert not answer["ok"], f"{what}: taken"
    text = answer["error"]
    assert str(path) in text and word in text, f"{what}: {text}"
    assert_goes_on(freshet, before, what)


def rolled_back(world, seed):
    """Each kind of damage, by `rollback`."""
    chance = random.Random(seed)
    freshet = world.freshet(settings=SETTINGS).start()
    load = world.load(freshet, seed, EVENTS, RATE)
    before = freshet.wait_generation()["generation"]
    image = path_of(freshet, before["number"]).read_bytes()
    number = before["number"] + 100
    path = path_of(freshet, number)
    path.write_bytes(image)
    for what, bad, word in damaged(image, chance):
        refuse_rollback(freshet, path, number, before, bad, what, word)
    path.unlink()
    answer = ask(freshet, cmd="rollback", generation=number)
    assert not answer["ok"] and str(path) in answer["error"], answer
    world.check(freshet, load)


def trained(world, seed):
    """What a training left behind is damaged: looked at once, told, and passed over; the next good
    one is taken."""
    chance = random.Random(seed)
    freshet = world.freshet(settings=SETTINGS).start()
    load = world.load(freshet, seed, None, RATE)
    before = freshet.wait_generation()["generation"]
    image = path_of(freshet, before["number"]).read_bytes()
    kinds = list(damaged(image, chance))
    for number, (what, bad, _) in enumerate(chance.sample(kinds, NO_NEWS), before["number"] + 1):
        path_of(freshet, number).write_bytes(bad)
        ask(freshet, cmd="trained")
        freshet.wait(lambda s, n=number: s["generation"]["newest"] == n, f"{what}: looked at")
        assert freshet.log_has(f"generation {number} stays out: {path_of(freshet, number)}"), what
        ask(freshet, cmd="trained")
        assert_goes_on(freshet, before, what)
        assert freshet.log_text().count(f"generation {number} stays out") == 1, "looked at twice"
    freshet.ask("train")
    freshet.wait(lambda s: s["generation"]["number"] > before["number"] + NO_NEWS, "a good one")
    load.finish()
    world.check(freshet, load)


def damaged_while_live(world, seed):
    """The live one's own file is damaged: it goes on from memory. Without it a restart says so and
    makes trend lists, until the file is back."""
    freshet = world.freshet(settings=SETTINGS).start()
    load = world.load(freshet, seed, EVENTS, RATE)
    before = freshet.wait_generation()["generation"]
    path = path_of(freshet, before["number"])
    image = path.read_bytes()
    path.write_bytes(image[: len(image) // 2])
    load.join()
    assert_goes_on(freshet, before, "its file was cut")
    assert freshet.terminate() == 0
    freshet.start()
    assert freshet.log_has(f"{path}: cut short or grown; lists are trend lists"), "it is said"
    status = freshet.status()["generation"]
    assert status["number"] == before["number"] and not status["in_memory"]
    path.write_bytes(image)
    assert freshet.terminate() == 0
    freshet.start()
    world.check(freshet, load)


CASES = [
    Case(7, "generation-damaged", rolled_back, short=True),
    Case(7, "generation-damaged-by-training", trained),
    Case(7, "generation-damaged-while-live", damaged_while_live),
]
