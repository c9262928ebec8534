"""A function needs a distribution that its worker lacks: its caller has the value; log and page name it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from simpledist.broker import Keys
from simpledist.cluster import Cluster
from simpledist.monitor import Monitor
from tests.commands import run
from tests.links import open_link
from tests.waiting import wait_until
from tests.wheels import installed

PROGRAM = """
import faraway, simpledist
import own

with simpledist.connect() as client:
    executor = client.executor()
    for n in range(20):
        future = executor.submit(own.work, n)
        print(future.result(30), future.info.where, future.info.why)
    print(executor.submit(own.other).result(30))
"""
OWN = """
import faraway

def work(n):
    return faraway.double(n)

def other():
    import nearby
    return nearby.X
"""


def test_it_is_said_once_to_the_caller_and_once_by_the_worker_and_doctor_and_page_name_it(tmp_path: Path) -> None:
    installed(tmp_path / "site", "far-away", "1.2", {"faraway.py": "def double(n):\n    return 2 * n\n"})
    installed(tmp_path / "site", "near-by", "1.0", {"nearby.py": "X = 7\n"})
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.py").write_text(PROGRAM)
    (tmp_path / "project" / "own.py").write_text(OWN)
    (tmp_path / "empty").mkdir()
    with Cluster(workers=0, slots=1, folder=tmp_path / "empty") as cluster, open_link(cluster.url) as link:
        worker = cluster.start_worker(arguments=["--any"], environment={"XDG_CACHE_HOME": str(tmp_path / "cache")})
        done = subprocess.run(
            [sys.executable, "main.py"],
            cwd=tmp_path / "project",
            env={**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url, "PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines == [f"{2 * n} local undecodable" for n in range(20)] + ["7"]
        assert len(re.findall(r"No module named 'faraway'; install far-away there", done.stderr)) == 1, done.stderr

        def named() -> list[str]:
            return sorted(json.loads(link.call("HGET", Keys().workers, worker.id))["missing"])

        wait_until(lambda: named() == ["faraway"], 10, "the row names what is missing")
        assert worker.stderr_text().count("this worker lacks faraway") == 1
        with contextlib.closing(Monitor.connect(cluster.url)) as monitor:
            (state,) = monitor.snapshot().workers
        assert state.condition == "missing module"
        # How many is said once a minute.
        assert re.match(r"lacks faraway: it refused \d+ jobs? of ", state.problems[0].text), state.problems
        found = json.loads(run("doctor", "--json", "--redis", cluster.url).stdout)["checks"]
        (finding,) = [one for one in found if "lacks faraway" in one["text"]]
        assert finding["remedy"].startswith("install faraway there")


BOTH = """
import simpledist
import own

refused = 0
with simpledist.connect() as client:
    executor = client.executor()
    for n in range(8):
        futures = [executor.submit(own.work, n) for _ in range(20)]
        assert [future.result(60) for future in futures] == [2 * n] * 20
        assert {future.info.where for future in futures} == {"remote"}
        refused += sum(future.info.attempts - 1 for future in futures)
        time.sleep(1.1)  # so long a worker passes over the calls of which it has refused one
    print(refused)
"""


def test_a_worker_that_lacks_it_goes_on_for_calls_that_do_not_need_it(tmp_path: Path) -> None:
    installed(tmp_path / "site", "far-away", "1.2", {"faraway.py": "def double(n):\n    return 2 * n\n"})
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.py").write_text("import time\n" + BOTH)
    (tmp_path / "project" / "own.py").write_text("import faraway\n\ndef work(n):\n    return faraway.double(n)\n")
    (tmp_path / "empty").mkdir()
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with Cluster(workers=0, slots=1, folder=tmp_path / "empty") as cluster, open_link(cluster.url) as link:
        bare = cluster.start_worker(arguments=["--any"], environment=environment)
        site = {"PYTHONPATH": str(tmp_path / "site")}
        cluster.start_worker(arguments=["--any"], environment={**environment, **site})
        done = subprocess.run(
            [sys.executable, "main.py"],
            cwd=tmp_path / "project",
            env={**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url, **site},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        row = json.loads(link.call("HGET", Keys().workers, bare.id))
        assert int(done.stdout) >= 3, "so many strikes withdraw a function"
        assert row["withdrawn"] == []
        assert "is withdrawn" not in bare.stderr_text()
