"""Work for libraries to spread: its time is sleep, so that a busy machine takes no longer, and its values are exact.

Workers import it, as they would a user's module.
"""

# scikit-learn has no types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from sklearn.linear_model import Ridge

FIT_SECONDS = 0.12
VALLEY_SECONDS = 0.012


class SlowRidge(Ridge):
    """Ridge regression that leaves a file in `folder` for each fit, named by the process that did it."""

    def __init__(self, alpha: float = 1.0, folder: str = "") -> None:
        super().__init__(alpha=alpha)
        self.folder = folder

    def fit(self, *args: Any) -> SlowRidge:
        time.sleep(FIT_SECONDS)
        if self.folder:
            Path(self.folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return super().fit(*args)


def slow_valley(point: Sequence[float]) -> float:
    time.sleep(VALLEY_SECONDS)
    x, y = point
    return float((1 - x) ** 2 + 100 * (y - x**2) ** 2)


def nested(n: int) -> tuple[int, Any]:
    """What a library does that uses joblib inside of what it hands to joblib: the process, and its squares."""
    return os.getpid(), Parallel(n_jobs=2)(delayed(pow)(k, 2) for k in range(n))


def fail(n: int) -> int:
    if n == 3:
        raise LookupError(n)
    time.sleep(0.01 if n < 3 else 20)
    return n


def slow_abs(n: int) -> int:
    time.sleep(0.05)
    return abs(n)


def abs_in_time(n: int, path: str) -> int:
    """Return the absolute value of n: of 0 at once, of others when there is such a file."""
    while n and not os.path.exists(path):
        time.sleep(0.01)
    return abs(n)


_begun = 0


def begin(folder: str) -> None:
    """An initializer: it leaves a file in `folder` each time, named by its process."""
    global _begun
    _begun += 1
    Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()


def begun() -> int:
    """The process, which was begun."""
    assert _begun
    return os.getpid()
