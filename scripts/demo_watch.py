"""Watches a running demo: rates, lag, the arms, a few customers' lists as they buy; ends when all is applied.

Prints one line of figures every few seconds and the closing line of the demo, all as measured by the daemon
(`freshet status --json`, `freshet arms --json`). The baseline "recent" uses the half-life that was best on the first half of the events.
"""

import json
import subprocess
import sys
import time

FRESHET, CONFIG = sys.argv[1], sys.argv[2]
PRODUCED_FILE, TOTAL = sys.argv[3], int(sys.argv[4])
CUSTOMERS = ["14911", "17841", "12748"]
DEADLINE_S = 170


def ask(*words):
    done = subprocess.run([FRESHET, *words, "--config", CONFIG], capture_output=True, text=True)
    return done.stdout if done.returncode in (0, 75) else ""


def status():
    text = ask("status", "--json")
    return json.loads(text) if text else None


def best_recent(figures):
    recent = figures["accuracy"]["new"]["recent"]
    return max(recent, key=lambda name: recent[name]["hits20"])


def show_customer(customer, last):
    """One line about a customer's list if it changed since we last looked."""
    table = ask("recommend", customer).splitlines()
    if len(table) < 4 or table[0] == last.get(customer):
        return False
    last[customer] = table[0]
    titles = [line.split(None, 3)[3].strip() if len(line.split(None, 3)) > 3 else line.split()[1]
              for line in table[1:4]]
    print(f"      customer {customer} now sees: " + " | ".join(t[:32] for t in titles), flush=True)
    return True


def show_figures(figures, rate):
    latency = figures["latency"]["event_to_list_ms"]
    new = figures["accuracy"]["new"]
    recent = new["recent"][best_recent(figures)]
    print(f"{figures['records']['applied']:7d} events {rate:6.0f}/s  lag {figures['kafka']['lag']:5d}  "
          f"{figures['lists']['stored']:7d} lists  generation {figures['generation']['number'] or 'none yet'}"
          f"{' (training)' if figures['trainer']['running'] else ''}  "
          f"event to list p50 {latency['p50'] or 0:.1f} p99 {latency['p99'] or 0:.1f} ms  "
          f"hit@20 {new['freshet']['hit@20'] or 0:.3f} (popular {new['popular']['hit@20'] or 0:.3f}, "
          f"recent {recent['hit@20'] or 0:.3f})", flush=True)


def arms(brief=False):
    """The arms' hit rates in words; with their intervals unless it is to be brief."""
    text = ask("arms", "--json")
    return ", ".join(arm_words(arm, brief) for arm in json.loads(text)["arms"]) if text else ""


def arm_words(arm, brief):
    mean, low, high = (arm["hit20"][key] for key in ("mean", "low", "high"))
    if mean is None:
        return f"{arm['name']} not known yet"
    interval = f" [{low:.3f} {high:.3f}]" if low is not None and not brief else ""
    return f"{arm['name']} {mean:.3f}{interval}{sure_words(arm)}" + (" stopped" if arm["state"] == "stopped" else "")


def sure_words(arm):
    """The p-value, which holds at any time, once there are users enough for one."""
    p = (arm["uplift"] or {}).get("p")
    if p is None or arm["hit20"]["low"] is None:
        return ""
    return " (p < 0.001)" if p < 0.001 else f" (p {p:.3f})"


def produced():
    """How many events the replay says it delivered, once it is done."""
    try:
        words = open(PRODUCED_FILE, encoding="utf-8").read().split()
    except OSError:
        return None
    return int(words[0]) if len(words) > 1 and words[1] == "events" else None


def main():
    begin = last_s = time.monotonic()
    last_events, half_life, shown, turn = 0, None, {}, 0
    while time.monotonic() - begin < DEADLINE_S:
        time.sleep(1.0)
        figures = status()
        if figures is None:
            print("demo: the daemon does not answer", file=sys.stderr)
            return 1
        applied, now_s = figures["records"]["applied"], time.monotonic()
        if half_life is None and applied * 2 >= TOTAL:
            half_life = best_recent(figures)
        if now_s - last_s >= 3.0:
            show_figures(figures, (applied - last_events) / (now_s - last_s))
            print(f"      hit@20 by arm: {arms()}", flush=True)
            show_customer(CUSTOMERS[turn % len(CUSTOMERS)], shown)
            last_s, last_events, turn = now_s, applied, turn + 1
        if produced() == applied and figures["owed"] == 0:
            break
    figures = status()
    latency, new = figures["latency"]["event_to_list_ms"], figures["accuracy"]["new"]
    half_life = half_life or best_recent(figures)
    print(f"demo: {figures['records']['applied']} events, {figures['lists']['stored']} lists, "
          f"{figures['generation']['swaps']} generations, event-to-list p50 {latency['p50']:.1f} ms "
          f"p99 {latency['p99']:.1f} ms, hit@20 {new['freshet']['hit@20']:.4f} "
          f"(popular {new['popular']['hit@20']:.4f}, recent {new['recent'][half_life]['hit@20']:.4f}); "
          f"{arms(brief=True)}", flush=True)
    if produced() != figures["records"]["applied"]:
        print(f"demo: {produced()} events produced, {figures['records']['applied']} applied", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
