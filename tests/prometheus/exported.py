"""What the binary says it exports (`freshet check --metrics`), and Prometheus' text format read back."""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("FRESHET_BIN", str(ROOT / "build" / "freshet"))
SAMPLE = re.compile(r"([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)",?')
SUFFIXES = {
    "counter": [""], "gauge": [""], "summary": ["_sum", "_count"],
    "histogram": ["_bucket", "_sum", "_count"],
}


def freshet(*arguments):
    """A subcommand that must succeed: its stdout."""
    command = [BINARY, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def table():
    """The table as it is in docs/METRICS.md."""
    return freshet("check", "--metrics")


def families():
    """{metric: (type, labels)} of the table."""
    rows = {}
    for line in table().splitlines()[2:]:
        _, name, kind, labels, _, _ = line.split("|")
        rows[name.strip(" `")] = (kind.strip(), tuple(re.findall(r"`(\w+)`", labels)))
    return rows


def series():
    """{name of a series: its labels}, the suffixes of histograms and summaries with them."""
    names = {}
    for name, (kind, labels) in families().items():
        for suffix in SUFFIXES[kind]:
            names[name + suffix] = labels + (("le",) if suffix == "_bucket" else ())
    return names


def parse(text):
    """[(name, {label: value}, number)] of every line that is not a comment."""
    samples = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        samples.append((name, dict(LABEL.findall(labels or "")), float(value)))
    return samples


def promtool(*arguments, stdin=None):
    """Runs it; what it says if it does not like what it sees, else nothing."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True,
    )
    return done.stdout if done.returncode else ""
