"""What a worker gets from anyone who starts it does no harm: closed streams, blocked signals, interpreter settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.waiting import wait_until


def here(*_: Any) -> Any:
    return "here"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "target.py").write_text("def sq(x): return x * x\n")
    (tmp_path / "threads.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(999,), daemon=True).start()\n"
        "def sq(x): return x * x\n"
    )
    with Cluster(folder=tmp_path) as one:
        yield one


def serves(cluster: Cluster) -> None:
    with cluster.connect() as client:
        sq = simpledist.worker_function(client, "sq", here)
        wait_until(lambda: sq.submit(3).result(20) == 9, 20, "it runs remotely")
        assert list(sq.map(range(20))) == [n * n for n in range(20)]


@contextmanager
def started(
    cluster: Cluster,
    folder: Path,
    *before: str,
    target: str = "target",
    environment: dict[str, str] | None = None,
    stderr: int | IO[str] = subprocess.PIPE,
    **options: Any,
) -> Generator[subprocess.Popen[str]]:
    """A worker, which does not outlive a test that fails."""
    line = [*before, "-m", "simpledist.cli.worker", "--redis", cluster.url, "--slots", "2", target]
    with subprocess.Popen(
        line, cwd=folder, env={**os.environ, **(environment or {})}, stderr=stderr, text=True, **options
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def ends(worker: subprocess.Popen[str]) -> str:
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 0, errors
    return errors or ""


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams(cluster: Cluster, tmp_path: Path, closed: str) -> None:
    with started(cluster, tmp_path, "/bin/sh", "-c", f'exec "$0" "$@" {closed}', sys.executable) as worker:
        serves(cluster)
        ends(worker)


def test_a_full_stderr(cluster: Cluster, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full, started(cluster, tmp_path, sys.executable, stderr=full) as worker:
        serves(cluster)
        ends(worker)


@pytest.mark.parametrize("target", ["target", "threads"])
def test_blocked_and_ignored_signals(cluster: Cluster, tmp_path: Path, target: str) -> None:
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with started(cluster, tmp_path, sys.executable, "-c", program, sys.executable, target=target) as worker:
        serves(cluster)
        template = psutil.Process(worker.pid).children()[0]
        before = template.children()
        before[0].kill()
        wait_until(lambda: len(template.children()) == 2 and before[0] not in template.children(), 10, "it is buried")
        ends(worker)


@pytest.mark.parametrize("target", ["target", "threads"])
def test_a_safe_path_hides_no_target(cluster: Cluster, tmp_path: Path, target: str) -> None:
    safe = {"PYTHONSAFEPATH": "1"}
    with started(cluster, tmp_path, sys.executable, target=target, environment=safe) as worker:
        serves(cluster)
        ends(worker)


@pytest.mark.parametrize("target", ["target", "threads", "absent"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_development_mode_finds_nothing_left_open(cluster: Cluster, tmp_path: Path, target: str, how: str) -> None:
    words = [sys.executable, "-X", "dev"] if how == "option" else [sys.executable]
    variable = {"PYTHONDEVMODE": "1", "PYTHONTRACEMALLOC": "5"} if how == "variable" else {}
    with started(cluster, tmp_path, *words, target=target, environment=variable) as worker:
        if target == "absent":
            errors = worker.communicate(timeout=20)[1]
            assert worker.returncode == 2
        else:
            serves(cluster)
            errors = ends(worker)
    assert "Warning" not in errors, errors
    assert "Traceback" not in errors, errors
