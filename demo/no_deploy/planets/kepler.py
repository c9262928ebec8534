"""Kepler's equation."""

from __future__ import annotations

import math


def anomaly(mean: float, eccentricity: float) -> float:
    """Return the eccentric anomaly of a mean one (radians), by Newton's method."""
    found = mean
    for _ in range(20):
        found -= (found - eccentricity * math.sin(found) - mean) / (1 - eccentricity * math.cos(found))
    return found
