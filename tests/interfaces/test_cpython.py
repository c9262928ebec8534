"""CPython's own tests of executors and pools pass against ours; the programs say what is left out, and why.

cpython_suite.py runs those of executors, cpython_pools.py those of `multiprocessing.Pool`.

Not every Python ships its tests, so any Python 3.10+ on this machine that does, and for which our dependencies are
good, runs them and the worker.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import sysconfig

from tests import needs
from tests.environments import pythons
from tests.interfaces.cpython_suite import GROUPS
from tests.trees import ROOT

SHIPS_ITS_TESTS = (
    "import test.test_concurrent_futures, test._test_multiprocessing, test.support.script_helper; "
    "import simpledist.cluster, cloudpickle, click"
)
PATH = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
MINORS = ("3.13", "3.12", "3.11", "3.10")
AT_LEAST = 30  # tests of executors in Python 3.10 to 3.13
OF_POOLS = 25


def python_with_tests() -> str | None:
    for candidate in (sys.executable, *itertools.chain.from_iterable(map(pythons, MINORS))):
        probe = subprocess.run(
            [candidate, "-c", SHIPS_ITS_TESTS], env={**os.environ, "PYTHONPATH": PATH}, capture_output=True, check=False
        )
        if probe.returncode == 0:
            return candidate
    return None


def test_cpythons_own_tests_pass() -> None:
    assert ran(*(["tests.interfaces.cpython_suite", *cases] for cases in GROUPS)) >= AT_LEAST


def test_cpythons_own_tests_of_pools_pass() -> None:
    assert ran(["tests.interfaces.cpython_pools"]) >= OF_POOLS


def ran(*modules: list[str]) -> int:
    """Run these modules at the same time; return how many tests they ran, all of which have passed."""
    python = python_with_tests()
    if python is None:
        needs.missing("no Python 3.10+ here ships test.test_concurrent_futures: install one (pyenv install 3.13)")
    programs = [
        subprocess.Popen(
            [python, "-m", *module],
            env={**os.environ, "PYTHONPATH": PATH},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for module in modules
    ]
    tests = 0
    try:
        for program in programs:
            output = program.communicate(timeout=300)[1].decode()
            assert program.returncode == 0, output
            assert "skipped" not in output
            tests += sum(map(int, re.findall(r"^Ran (\d+) tests?", output, re.MULTILINE)))
    finally:
        for program in programs:
            program.terminate()
            program.wait()
    return tests
