"""What was measured: results.json, one list of rounds a work and peer; parts of a run add up in it."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "results.json"

Rounds = dict[str, dict[str, list[float]]]  # work -> peer (or what of ours) -> a number a round


def load(path: Path = FILE) -> dict[str, Any]:
    if path.exists():
        return json.loads(path.read_text())
    return {"date": "", "machine": "", "works": {}, "absent": {}}


def save(works: Rounds, redis_version: str, absent: dict[str, str], path: Path = FILE) -> None:
    """Put these numbers in the place of what the file holds of them; `absent`: peers that were left out, and why."""
    kept = load(path)
    kept["date"] = time.strftime("%Y-%m-%d")
    kept["machine"] = machine(redis_version)
    for work, numbers in works.items():
        kept["works"].setdefault(work, {}).update(numbers)
    kept.setdefault("absent", {}).update(absent)
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def machine(redis_version: str) -> str:
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, Redis {redis_version} on TCP loopback"
    )


def median(numbers: list[float]) -> float:
    return statistics.median(numbers)


def spread(numbers: list[float]) -> float:
    """Half the way between the least and the most, as a part of the median."""
    middle = median(numbers)
    return (max(numbers) - min(numbers)) / 2 / middle if middle else 0.0
