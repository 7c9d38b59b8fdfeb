#!/usr/bin/python3
"""Makes state-N.tar.zst: a small state as a freshet of format N left it, and what was in its log.

    git worktree add /tmp/old COMMIT && cmake -S /tmp/old -B /tmp/old/build && cmake --build /tmp/old/build --target freshet
    tests/golden/make_state.py /tmp/old/build/freshet tests/golden/state-N.tar.zst

The last commits of each format: 1 is 83b12c2, 2 is 4b33a9b. tests/e2e/test_upgrade.py opens them.
"""

import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import services  # noqa: E402

CLUSTER = "freshet-golden-stateAA"  # a state belongs to its cluster
TOPIC, PARTITIONS = "golden-events", 3
EVENTS = 600
DEADLINE_S = 120
START_MS = 1_700_000_000_000

SETTINGS = """\
kafka: {{bootstrap.servers: "{bootstrap}"}}
consumer: {{topic: {topic}, items_topic: golden-items, group: golden-group, instance: e2e}}
events:
  max_age: 3000d
  played: {{weight: 1.0, cap: 3, hides: true}}
  wishlist: {{weight: 0.5, half_life: 300d, cap: 0.4, hides: false}}
history: {{max: 120, seen_max: 400, dedup_window: 64}}
state: {{dir: {dir}}}
model: {{rank: 16}}
train: {{every: 30d, min_events: 1000000, first_events: 300, iterations: 3}}
lists: {{n: 20, active: 0s}}
redis: {{address: "{redis}", prefix: "golden:"}}
"""


def events():
    """(key, value) pairs: interactions, duplicates, retractions, forgotten users."""
    draw = random.Random(1)
    for number in range(EVENTS):
        user, item = f"u{draw.randrange(40)}", f"i{draw.randrange(30)}"
        event = {"user": user, "item": item, "id": f"e{number - number % 7 // 6}", "ts": START_MS + 60_000 * number}
        event["type"] = "wishlist" if number % 5 == 0 else "played"
        if number % 40 == 39:
            event = {"user": user, "type": "retract", "ref": f"e{number - 1}"}
        if number % 150 == 149:
            event = {"user": user, "type": "forget_user"}
        yield user.encode(), json.dumps(event).encode()


def status(binary, config):
    done = subprocess.run([binary, "status", "--json", "--config", config], capture_output=True, check=False)
    return json.loads(done.stdout) if done.stdout.strip() else None


def run(binary, folder, kafka, redis):
    config = folder / "freshet.yaml"
    config.write_text(
        SETTINGS.format(bootstrap=kafka.bootstrap, redis=redis.address, topic=TOPIC, dir=folder / "state")
    )
    daemon = services.spawn([binary, "run", "--config", config], folder / "log")

    def done():
        now = status(binary, config)
        return now and now["records"]["total"] == EVENTS and now["generation"]["swaps"] == 1 and now["owed"] == 0

    services.wait_until(done, "everything learned, trained on and published", DEADLINE_S)
    if services.stop(daemon) != 0:
        raise SystemExit((folder / "log").read_text())


def pack(folder, kafka, target):
    packed = folder / "packed"
    (packed / "generations").mkdir(parents=True)
    shutil.copy(folder / "state" / "data.mdb", packed)
    for path in (folder / "state" / "generations").glob("*.gen"):
        shutil.copy(path, packed / "generations")
    with open(packed / "log.jsonl", "w") as log:
        for record in kafka.consume(TOPIC):
            row = [record.partition, record.offset, record.key.decode(), record.value.decode()]
            log.write(json.dumps(row) + "\n")
    command = f"tar -C {packed} --owner=0 --group=0 --mtime=@0 --sort=name -c . | zstd -19 -q -f -o {target}"
    subprocess.run(command, shell=True, check=True)


def main():
    binary, target = map(pathlib.Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        kafka, redis = services.Kafka(folder, cluster=CLUSTER), services.Redis(folder)
        try:
            kafka.start()
            redis.start()
            kafka.create_topic(TOPIC, PARTITIONS)
            kafka.create_topic("golden-items", 1)
            kafka.create_topic(f"{TOPIC}.dead", 1)
            kafka.produce(TOPIC, events())
            run(binary.resolve(), folder, kafka, redis)
            pack(folder, kafka, target)
        finally:
            kafka.stop()
            redis.stop()


if __name__ == "__main__":
    main()
