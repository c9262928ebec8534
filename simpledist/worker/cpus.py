"""Number of CPUs that this worker may use: the least of what affinity, control groups and Slurm leave to it.

Reads /proc and /sys; a file that is missing or says something else limits nothing.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SLURM_VARIABLE = "SLURM_CPUS_PER_TASK"


def cpus(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of CPUs, at least 1. A part of a CPU counts as one, as for loky and the JVM: 2.5 are 3."""
    limits = [len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1]
    if (asked := environment.get(SLURM_VARIABLE, "")).isdigit():
        limits.append(int(asked))
    limits += [math.ceil(quota) for quota in quotas(root)]
    return max(1, min(limits))


def quotas(root: Path) -> Iterator[float]:
    """Yield the CPUs that each control group above this process allows, of both versions."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        kind = "cgroup" if controllers else "cgroup2"
        if controllers and "cpu" not in controllers.split(","):
            continue
        for folder in _folders(root, mounts, kind, path):
            if (quota := _quota(folder)) is not None:
                yield quota


def _folders(root: Path, mounts: list[str], kind: str, path: str) -> Iterator[Path]:
    """Yield the folder of this group and of each above it, as far as they can be seen from here."""
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        fields, what = before.split(), after.split()
        if len(fields) < 5 or len(what) < 3 or what[0] != kind:
            continue
        if kind == "cgroup" and "cpu" not in what[2].split(","):
            continue
        top, place = fields[3], root / fields[4].lstrip("/")
        # In a container the mount may begin below the host's root, and the path may be the host's.
        inside = path if top == "/" else path[len(top) :] if (path + "/").startswith(top + "/") else ""
        folder = place / inside.strip("/")
        while True:
            yield folder
            if folder == place or place not in folder.parents:
                break
            folder = folder.parent


def _quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):  # there is none: "max", or no such file
        return None
