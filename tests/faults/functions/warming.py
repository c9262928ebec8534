"""What a worker imports before its first job, so that the memory of its children tells of what they keep."""

from __future__ import annotations

import numpy


def warm_up() -> int:
    """Return how much numpy computes with, so that it is more than imported."""
    return int(numpy.arange(1000).sum())
