"""The dashboard that the distributor serves: complete after it was killed, and not doubled by a second one."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, cast

import simpledist
from simpledist.cluster import Cluster
from tests.waiting import wait_until

CALLS, RAISING, LOCAL = 60, 5, 3


def at_home(n: int) -> int:
    return n


def ask(cluster: Cluster) -> dict[str, Any]:
    with urllib.request.urlopen(cluster.dashboard_url + "api/snapshot.json", timeout=10) as answer:
        return cast("dict[str, Any]", json.load(answer))


def counted(cluster: Cluster) -> dict[str, Any]:
    rows = {row["function"]: row for row in ask(cluster)["functions"]}
    row = rows.get("work", {})
    local = rows.get("nobody", {}).get("local")
    return {name: row.get(name) for name in ("returned", "raised", "queued", "running")} | {"local": local}


def bars(cluster: Cluster) -> int:
    with urllib.request.urlopen(cluster.dashboard_url + "functions/work", timeout=10) as answer:
        return answer.read().decode().count('rect class="succeeded"')


def test_numbers_and_charts_outlive_a_distributor_and_two_count_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text("def work(n):\n    if n < 0: raise ValueError(n)\n    return n\n")
    expected = {"returned": CALLS, "raised": RAISING, "queued": 0, "running": 0}
    with Cluster("shown", workers=1, slots=2, folder=tmp_path, web=True) as cluster:
        cluster.start_distributor()
        client = cluster.connect()
        work = simpledist.worker_function(client, "work", at_home)  # so short that its calls travel in batches
        nobody = simpledist.worker_function(client, "nobody", at_home)
        assert list(work.map(range(CALLS))) == list(range(CALLS))
        for future in [work.submit(-1) for _ in range(RAISING)]:
            assert isinstance(future.exception(), ValueError)
        assert [nobody(1) for _ in range(LOCAL)] == [1] * LOCAL
        everything = expected | {"local": {"no_worker": LOCAL}}
        wait_until(lambda: counted(cluster) == everything, 10, f"{everything}, not {counted(cluster)}")
        assert bars(cluster) > 0
        for distributor in cluster.distributors:
            distributor.kill()
        cluster.start_distributor(web=True)
        assert counted(cluster) == everything
        assert bars(cluster) > 0
