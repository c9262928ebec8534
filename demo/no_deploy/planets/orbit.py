"""Distances of planets from the sun."""

from __future__ import annotations

import csv
import math
from importlib import resources

from planets.kepler import anomaly


def nearest(planet: str, steps: int = 20_000) -> tuple[str, float]:
    """Return the planet and the smallest of its distances (million km) in so many steps of one year of its own."""
    text = resources.files("planets").joinpath("table.csv").read_text()
    row = next(row for row in csv.DictReader(text.splitlines()) if row["planet"] == planet)
    axis, eccentricity = float(row["axis"]), float(row["eccentricity"])
    means = (2 * math.pi * step / steps for step in range(steps))
    return planet, round(min(axis * (1 - eccentricity * math.cos(anomaly(mean, eccentricity))) for mean in means), 1)
