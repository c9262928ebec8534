"""How many CPUs a worker takes for its own: the least of affinity, control groups and Slurm."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from simpledist.worker.cpus import cpus, quotas

AFFINITY = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
V2 = "0::/pod/box\n", "30 20 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup rw\n"
V1 = (
    "4:memory:/other\n3:cpu,cpuacct:/pod/box\n",
    "33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
)
# As a container sees it: the mount begins at its own group.
INSIDE = "0::/pod/box\n", "30 20 0:26 /pod/box /sys/fs/cgroup ro - cgroup2 cgroup rw\n"


def tree(root: Path, of: tuple[str, str], files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(of[0])
    (root / "proc/self/mountinfo").write_text(of[1])
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("of", "files", "expected"),
    [
        (V2, {"pod/box/cpu.max": "150000 100000\n"}, [1.5]),
        (V2, {"pod/box/cpu.max": "max 100000\n", "pod/cpu.max": "100000 100000\n"}, [1.0]),
        (V2, {"pod/box/cpu.max": "400000 100000\n", "pod/cpu.max": "200000 100000\n"}, [4.0, 2.0]),
        (V2, {}, []),
        (V2, {"pod/box/cpu.max": "what is this\n"}, []),
        (INSIDE, {"cpu.max": "50000 100000\n"}, [0.5]),
        (
            V1,
            {
                "cpu,cpuacct/pod/box/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/pod/box/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            [2.0],
        ),
    ],
)
def test_the_quota_of_each_group_above_counts(
    tmp_path: Path, of: tuple[str, str], files: dict[str, str], expected: list[float]
) -> None:
    assert list(quotas(tree(tmp_path, of, files))) == expected


def test_the_least_of_all_counts_and_one_at_least(tmp_path: Path) -> None:
    assert cpus(tmp_path, {}) == AFFINITY, "nothing else is known"
    half = tree(tmp_path, V2, {"pod/box/cpu.max": "10000 100000\n"})
    assert cpus(half, {}) == 1
    assert cpus(tmp_path / "none", {"SLURM_CPUS_PER_TASK": "1"}) == 1
    assert cpus(tmp_path / "none", {"SLURM_CPUS_PER_TASK": "999"}) == AFFINITY
    for nonsense in ("", "0", "many", "-3", "1.5"):
        assert cpus(tmp_path / "none", {"SLURM_CPUS_PER_TASK": nonsense}) >= 1
