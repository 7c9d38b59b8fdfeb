"""The simulated disk against LMDB: the same seeds must take the same steps. same_disk.py DIR"""

import subprocess
import sys

SEEDS = "100"


def digest(program):
    command = [f"{sys.argv[1]}/{program}", "--seeds", SEEDS, "--digest"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    print(run.stdout, run.stderr)
    if run.returncode != 0:
        sys.exit(f"{program} fails")
    return [line for line in run.stdout.splitlines() if "digest" in line]


first, again, real = digest("sim"), digest("sim"), digest("sim_lmdb")
if not first or first != again or first != real:
    sys.exit(f"they differ: {first} {again} {real}")
