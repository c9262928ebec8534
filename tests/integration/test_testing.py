"""simpledist.testing in the hands of a user: pytest finds its fixtures by itself, and pays nothing for them unused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from simpledist.testing import Cluster

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo"
STARTS = 12


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "--strict-markers", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_demo_tests_itself(tmp_path: Path) -> None:
    for name in ("fns.py", "test_fns.py"):
        shutil.copy(DEMO / name, tmp_path)
    done = run_pytest(tmp_path)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_finds_the_plugin_by_itself() -> None:
    assert {entry.value for entry in entry_points(group="pytest11", name="simpledist")} == {"simpledist.testing"}


def test_unused_it_loads_nothing_of_simpledist() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import simpledist.testing;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["simpledist", "simpledist.testing"]


def test_what_a_worker_wrote_is_shown_with_a_test_that_fails(tmp_path: Path) -> None:
    (tmp_path / "speaking.py").write_text("def speak(text):\n    print(text)\n    return text\n")
    (tmp_path / "test_speaking.py").write_text(
        "import pytest, simpledist\n"
        "@pytest.mark.simpledist('speaking')\n"
        "def test_it(simpledist_client):\n"
        "    assert simpledist.worker_function(simpledist_client, 'speak', len)('from afar') == 'elsewhere'\n"
    )
    done = run_pytest(tmp_path)
    assert "1 failed" in done.stdout
    assert "from afar\n" in done.stdout.partition("Captured stderr teardown")[2]


def test_a_worker_that_cannot_start_is_the_tests_error_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import pytest\n@pytest.mark.simpledist('nowhere:fib')\ndef test_it(simpledist_cluster):\n    pass\n"
    )
    done = run_pytest(tmp_path)
    assert "1 error" in done.stdout
    assert "there is no module nowhere" in done.stdout


@pytest.mark.simpledist("farm", folder=Path(__file__).parent / "functions")
def test_a_cluster_is_there_in_under_a_second(simpledist_cluster: Cluster) -> None:
    assert simpledist_cluster.workers[0].running
    seconds: list[float] = []
    while not seconds or (min(seconds) >= 1.0 and len(seconds) < STARTS):  # other work on the machine is not ours
        began = time.perf_counter()
        with Cluster("fns:fib", folder=DEMO):
            seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1.0
