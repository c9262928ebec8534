"""A user's program keeps its types: pyright and mypy, both strict, agree with every line of sample.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent / "sample.py"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_pyright_agrees_with_the_sample() -> None:
    # The sample itself asks for strictness.
    report = json.loads(_run("pyright", "--outputjson", str(SAMPLE)).stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == 1


def test_mypy_agrees_with_the_sample(tmp_path: Path) -> None:
    done = _run(
        "mypy", "--strict", "--follow-imports=silent", "--python-version=3.11", f"--cache-dir={tmp_path}", str(SAMPLE)
    )
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, "Success: no issues found in 1 source file"), (
        done.stdout
    )


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "simpledist" / "py.typed").is_file()
