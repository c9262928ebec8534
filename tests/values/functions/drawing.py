"""Functions that draw random numbers from states that their module holds."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import numpy as np

if os.environ.get("SEEDED_ON_PURPOSE"):
    np.random.seed(5)
    random.seed(5)

own = np.random.default_rng()
dice = random.Random(42)
fine = random.SystemRandom()


class Table:
    legacy = np.random.RandomState(1)


def with_default(_: int, rng: Any = np.random.default_rng(7)) -> float:  # noqa: B008 - that is what is to be found
    return float(rng.random())


def of_numpy(_: int) -> float:
    time.sleep(0.02)
    return float(np.random.rand())


def of_numpy_normal(_: int) -> float:
    return float(np.random.normal())


def of_random(_: int) -> float:
    return random.random()
