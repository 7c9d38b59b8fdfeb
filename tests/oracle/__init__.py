"""What freshet should hold and say, computed apart from it (README.md)."""

import os

# Matrices here are small; threads would only wait for each other. Before numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# pylint: disable=wrong-import-position
from .check import check, judge
from .dump import Dump, read_dump
from .differences import dump_differences, trials_differences
from .fold import COUNTERS, count_of, fold_placed, latest_distinct
from .generation import Generation, live_generation, read_generation
from .judge_lists import Lists
from .ledger import Ledger, Limits, Produced
from .model import TOGETHER_PRIOR, TOGETHER_WINDOW, Model, close, confidences, pair_of
from .recorded import decode, fold
from .observe import Instance, list_key
from .report import Report
from .rules import HALF_LIVES_MS, PAIRS_HALF_LIFE_MS, EventType, Rules
