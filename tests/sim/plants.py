"""Planted bugs: the simulator must find each. A plant is a line of the product that is another.

    plants.py make NAME OUT   writes the source with the plant in it
    plants.py test DIR        runs DIR/sim_plant_NAME of each until it fails; fails where one does not

The product's own files are never touched, and have no switches for it. If a line named here is not there any
more, the test says so: name the line that does its work now.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = 4000

# name: (file, the line as it is, what it becomes)
PLANTS = {
    # The group's offset is committed when the commit begins, not when it is on the disk.
    "group_before_durable": (
        "daemon/settling.c",
        "    settling->running = true;\n",
        "    settling->running = true;\n"
        "    for (int32_t p = 0; p < 3; p++) {\n"
        "        struct settled_offset early = {p, history_next_offset(settling->history, false, p)};\n"
        "        if (early.next_offset > 0)\n"
        "            consumer_settle(settling->consumer, &early, 1);\n"
        "    }\n",
    ),
    # A record that comes a second time after a rebalance is applied a second time.
    "double_apply": (
        "model/history_learn.c",
        "    return event->offset >= partition->record.next_offset ? partition : NULL;\n",
        "    return partition;\n",
    ),
    # Nobody is owed a list after a swap.
    "stale_after_swap": (
        "daemon/swapper.c",
        "    renewal_start(swapper->parts.renewal, arms ? CAUSE_ARMS : CAUSE_GENERATION, false);\n",
        "",
    ),
    # The scan for owed users does not see that an event's list was never acknowledged.
    "lost_owed": (
        "model/user.c",
        "    return record->wanted_offset > record->acked_offset || record->acked_swap < swap;\n",
        "    return record->acked_swap < swap;\n",
    ),
    # A list that could not be sent is not tried again.
    "forgotten_retry": ("daemon/line_send.c", "    line_queue(line, user, list->cause);\n", ""),
    # An acknowledged list counts as the newest that is wanted.
    "older_acknowledged": (
        "model/history_users.c",
        "user_acknowledge(record, version->next_offset,",
        "user_acknowledge(record, record->wanted_offset,",
    ),
    # A dead letter of a commit that failed counts as written.
    "lost_letter": (
        "model/history_dead.c",
        "entry->stage = ok ? DEAD_STORED : DEAD_NEW;",
        "entry->stage = DEAD_STORED;",
    ),
    # A user of a commit that failed is not written by the next.
    "lost_after_failure": ("model/history_commit.c", "        if (!ok)\n            users_mark", "        if (false)\n            users_mark"),
    # Lists go out under a swap that is not on the disk.
    "swap_before_durable": (
        "daemon/swapper.c",
        "    settling_commit(line_settling(swapper->parts.line), swap_durable, swapper);\n}\n\n/* -- candidates",
        "    swap_durable(NULL, swapper);\n}\n\n/* -- candidates",
    ),
    # The loop learns while a worker scores.
    "learn_while_scoring": (
        "daemon/line.c",
        "    bool score_station_busy = line->at_score != NULL && !line->scored;\n",
        "    bool score_station_busy = false;\n",
    ),
    # A revoked partition's changes leave memory before they are written.
    "unload_unsaved": (
        "model/history_partitions.c",
        "        if (!partition->dirty && !partition->committing)\n",
        "",
    ),
    # A heartbeat puts the nonce back that a flush took away.
    "nonce_with_heartbeat": ("publisher/meta.c", "    if (meta->begins) {\n", "    if (meta->begins || meta->begun_ms != 0) {\n"),
    # Who asks the line to stand still after it stopped is told when he is gone.
    "told_when_gone": (
        "daemon/line.c",
        "    if (line->stop) /* who asks now may be gone before he could be told */\n        return;\n",
        "",
    ),
}


def planted(name):
    """The source with the plant, or None if its line is not there once."""
    path, old, new = PLANTS[name]
    text = (ROOT / path).read_text()
    return text.replace(old, new) if text.count(old) == 1 else None


def make(name, out):
    text = planted(name)
    if text is None:
        text = (ROOT / PLANTS[name][0]).read_text()
    pathlib.Path(out).write_text(text)


def find(name, directory):
    """Why the plant was not found, or None."""
    if planted(name) is None:
        return f"its line is not in {PLANTS[name][0]} any more"
    command = [f"{directory}/sim_plant_{name}", "--seeds", str(SEEDS), "--stop"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    words = run.stdout.strip().splitlines()
    if run.returncode == 0:
        return f"not found by {SEEDS} seeds"
    print(f"{name}: {words[-1]}\n    {words[0][:160]}", flush=True)
    return None


def main():
    if sys.argv[1:2] == ["names"]:
        print(";".join(f"{name}:{path}" for name, (path, _, _) in PLANTS.items()), end="")
    elif sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
    else:
        missed = {name: why for name in PLANTS if (why := find(name, sys.argv[2])) is not None}
        for name, why in missed.items():
            print(f"plant {name}: {why}")
        sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
