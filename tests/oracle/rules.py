"""The settings that states and lists depend on, and what of them the format fixes."""

import dataclasses
import math

HALF_LIVES_MS = {
    "10m": 600_000,
    "1h": 3_600_000,
    "6h": 6 * 3_600_000,
    "1d": 24 * 3_600_000,
    "1w": 7 * 24 * 3_600_000,
    "30d": 30 * 24 * 3_600_000,
    "1y": 365 * 24 * 3_600_000,
}
PAIRS_HALF_LIFE_MS = {"1d": 24 * 3_600_000, "ever": math.inf}


@dataclasses.dataclass
class EventType:
    """An entry under `events:`."""

    weight: float = 1.0
    half_life_ms: int = 0
    cap: float = 1.0
    value: str = "none"
    hides: bool = True


@dataclasses.dataclass
class Rules:
    """The settings that states and lists depend on."""

    types: dict  # name -> EventType
    history_max: int
    seen_max: int
    dedup_window: int
    n: int
    neighbours_max: int = 0
    max_age_ms: int = 0
    update: str = "als"
    sgd_rate: float = 0.0
    first_half_life: str = "1w"
    exclude_categories: tuple = ()
    impressions_max: int = 0
    impressions_want_lists: bool = False  # if they are discounted
