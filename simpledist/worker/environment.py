"""The environment in which functions run: the worker's own, without its secrets, with threads for one slot.

Knows only variables. The template is started with it (template_process.py); children inherit it.
"""

from __future__ import annotations

import os

from simpledist.config import NESTED_VARIABLE
from simpledist.worker.cpus import cpus

_SECRETS = ("SIMPLEDIST_SECRET_FILE", "SIMPLEDIST_REDIS_URL", "SIMPLEDIST_WEB_TOKEN_FILE")

# What numerical libraries read once, when they are loaded. Each of them would start a thread a CPU, in each slot: 64
# threads where there are eight slots on eight CPUs, slower than eight (joblib/joblib#940 guards its processes alike).
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def without_secrets() -> dict[str, str]:
    """Return the variables of this process that other people's code may see."""
    return {key: value for key, value in os.environ.items() if key not in _SECRETS}


def of_children(slots: int) -> dict[str, str]:
    """Return the variables for the children of a worker with so many slots; what the user has set stays."""
    variables = without_secrets()
    variables[NESTED_VARIABLE] = "1"
    for name in _THREADS:
        variables.setdefault(name, str(max(1, cpus() // slots)))
    return variables
