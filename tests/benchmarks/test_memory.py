"""How much memory the processes of a worker take, idle and while a big value passes through them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm

MEGABYTE = 1024 * 1024
VALUE_BYTES = 32 * MEGABYTE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is where Linux counts it")


def status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def forget_peak(pid: int) -> int:
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return status_bytes(pid, "VmRSS")


def shared_divided_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def test_a_worker_is_small_and_a_big_value_is_in_each_process_once() -> None:
    with Cluster("farm:echo", slots=1, folder=FUNCTIONS) as cluster, cluster.connect() as client:
        echo: Any = simpledist.worker_function(client, "echo", farm.echo)
        assert echo(b"x" * MEGABYTE) == b"x" * MEGABYTE
        parent = psutil.Process(cluster.workers[0].pid)
        child = next(one for one in parent.children(recursive=True) if not one.children())
        assert shared_divided_bytes(parent.pid) < 40 * MEGABYTE
        assert shared_divided_bytes(child.pid) < 15 * MEGABYTE
        before = {pid: forget_peak(pid) for pid in (parent.pid, child.pid)}
        value = b"x" * VALUE_BYTES
        future = echo.submit(value)
        assert future.result() == value
        assert future.info.where == "remote"
        for pid, rss in before.items():
            assert status_bytes(pid, "VmHWM") - rss < 1.5 * VALUE_BYTES
