"""scipy's optimiser on the cluster: it asks for a map, and an executor has one.

Start `simpledist-worker --any` in this folder, here and on other machines, then run this; without a worker it runs
here.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy.optimize import differential_evolution

import simpledist


def valley(point: Sequence[float]) -> float:
    """Return Rosenbrock's function, lowest at (1, 1). Imagine a simulation of some seconds."""
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def lowest(**options: Any) -> Any:
    """Find the lowest point; `updating="deferred"` computes a generation at a time, as a map needs it."""
    return differential_evolution(
        valley, [(-2, 2), (-1, 3)], rng=1, maxiter=25, popsize=10, updating="deferred", polish=False, **options
    )


def main() -> None:
    with simpledist.connect() as client, client.executor() as executor:
        found = lowest(workers=executor.map)
        print(f"{found.fun:.4f} at {found.x.round(1)}, after {found.nfev} runs of the function")


if __name__ == "__main__":
    main()
