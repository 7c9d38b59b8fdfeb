"""Planted bugs: the simulator must find each. A plant is a line of the product that is another.

    plants.py make NAME OUT   writes the source with the plant in it
    plants.py test DIR        runs DIR/sim_plant_NAME of each until it is found; fails where one is not

A plant is found by a seed that fails for what the plant breaks, by the words of that check (FOUND), while DIR/sim, which
has no plant, passes the same seed. A process that merely dies finds nothing.

The product's own files are never touched, and have no switches for it. If a line named here is not there any
more, the test says so: name the line that does its work now.
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = 10000
OTHERWISE_MAX = 20  # seeds that fail for another reason than the one expected

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
    # The mark goes ahead of the lists that it speaks for.
    "mark_before_lists": (
        "publisher/sending.c",
        "        else if (sending->next < sending->slate->to_send)\n",
        "        else if (!sending->mark_due && sending->next < sending->slate->to_send)\n",
    ),
    # The state does not have the mark behind what it has acknowledged.
    "mark_not_kept": ("daemon/redis_mark.c", "    history_set_note(history, NOTE, slice_of(text));\n", ""),
    # Lists count as acknowledged without the mark behind them.
    "mark_not_awaited": (
        "publisher/sending.c",
        "    if (sending->mark_ms == 0)\n        sending_forget(sending);\n    else\n",
        "    if (sending->mark_ms != 0)\n",
    ),
    # An old copy has our nonce, which is all that is looked at.
    "old_copy_unnoticed": (
        "publisher/meta.c",
        "    return !ours || !whole || own->heartbeat_ms < meta->stored_ms;\n",
        "    return !ours || !whole;\n",
    ),
    # Nobody hears that a list was refused, so that it is not tried again.
    "refused_untold": ("publisher/sending.c", "    tell_refused(sending);\n", ""),
    # Who asks the line to stand still after it stopped is told when he is gone.
    "told_when_gone": (
        "daemon/line.c",
        "    if (line->stop) /* who asks now may be gone before he could be told */\n        return;\n",
        "",
    ),
}


LISTS = r"Redis has no list|is stale at rest|the list in Redis is of|is owed a list|his record another list"

# What a seed says that finds it.
FOUND = {
    "group_before_durable": r"is settled, durable is",
    "double_apply": r"durable: partition \d+ as of \d+ counts|differs from the log",
    "stale_after_swap": LISTS,
    "lost_owed": LISTS,
    "forgotten_retry": LISTS,
    "older_acknowledged": r"is acknowledged, Redis never had more than",
    "lost_letter": r"the dead letter of offset \d+ of partition \d+ is lost",
    "lost_after_failure": r"durable: u\d+ as of \d+ (is not there|of partition \d+ differs from the log)",
    "swap_before_durable": r"which is not durable",
    "learn_while_scoring": r"learned while scoring",
    "unload_unsaved": r"differs from the log|durable: .* (is not there|counts)",
    "nonce_with_heartbeat": LISTS,
    "mark_before_lists": LISTS,
    "mark_not_kept": LISTS,
    "mark_not_awaited": LISTS,
    "old_copy_unnoticed": LISTS,
    "refused_untold": LISTS,
    "told_when_gone": r"memory is given back that is not in use|AddressSanitizer: heap-use-after-free",
}

# Where to begin, of those that only one seed in ten thousands finds. If the simulator took other steps since, search anew.
FROM = {"mark_not_kept": 26700}


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


def run(directory, program, *arguments):
    command = [f"{directory}/{program}", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return done.returncode == 0, done.stdout


def passes(directory, seed):
    """Whether the simulator without a plant does."""
    return run(directory, "sim", "--seed", seed)[0]


def find(name, directory):
    """What was found, and where; or None, and why not."""
    if planted(name) is None:
        return None, f"its line is not in {PLANTS[name][0]} any more"
    first, others = FROM.get(name, 1), []
    last = first + SEEDS - 1
    while first <= last and len(others) < OTHERWISE_MAX:
        whole, output = run(
            directory, f"sim_plant_{name}", "--first", first, "--seeds", last + 1 - first, "--jobs", 1, "--stop"
        )
        if whole:
            break
        seed = int(re.search(r"seed (\d+) fails", output)[1])
        found = re.search(f".*({FOUND[name]}).*", output)
        if found is not None and passes(directory, seed):
            return f"{found[0][:160]}", None
        others.append(re.search(r"seed \d+ fails.*", output)[0][:160])
        first = seed + 1
    return None, f"not found by {SEEDS} seeds" if not others else f"not found; other than by what it breaks: {others}"


def test(directory):
    """How many were not found."""
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, (found, why) in zip(PLANTS, pool.map(lambda name: find(name, directory), PLANTS)):
            print(f"{name}: {found}" if why is None else f"plant {name}: {why}", flush=True)
            missed += why is not None
    return missed


def main():
    if sys.argv[1:2] == ["names"]:
        print(";".join(f"{name}:{path}" for name, (path, _, _) in PLANTS.items()), end="")
    elif sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
    else:
        sys.exit(1 if test(sys.argv[2]) else 0)


if __name__ == "__main__":
    main()
