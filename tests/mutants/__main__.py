"""`make mutants`: take one mechanism after the other out of a copy of the tree, and see which test misses it.

Prints a table, a row a mutation. Ends with 1 where nothing has noticed one: then a test is missing. The
tests of a row are first run on the copy as it is: what fails there proves nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutation import Mutation
from tests.mutants.mutations import MUTATIONS
from tests.trees import copy_tree

MOST_SECONDS = 180.0
_INTERRUPTED = 2  # pytest's exit code: KeyboardInterrupt came out of a test and ended the whole run
_BEGAN = re.compile(r"^tests/(\S+?\.py)::(\w+)", re.MULTILINE)
_FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+?\.py)::(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What became of some tests: the first that failed, None if all passed."""

    failed: str | None
    seconds: float
    output: str


def run_tests(tree: Path, tests: str) -> Run:
    """Run them in `tree` until the first fails. Raises RuntimeError where pytest itself had nothing to run."""
    command = [sys.executable, "-m", "pytest", "-x", "-v", "-rfE", "-p", "no:cacheprovider", *shlex.split(tests)]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Run(f"no end within {MOST_SECONDS:.0f} s", time.monotonic() - began, output)
    seconds = time.monotonic() - began
    if process.returncode == 0:
        return Run(None, seconds, output)
    found = _FAILED.search(output)
    if process.returncode == 1 and found:
        return Run(f"`{found[2]}` ({found[1]})", seconds, output)
    if process.returncode == _INTERRUPTED and "! KeyboardInterrupt !" in output and (began_last := _last_begun(output)):
        return Run(began_last, seconds, output)
    if process.returncode in (1, 2, 4, 5) or "INTERNALERROR" in output:
        raise RuntimeError(f"pytest {tests} ended with {process.returncode}:\n{output}")
    return Run("the tests' own process died", seconds, output)


def _last_begun(output: str) -> str | None:
    """Return the test that ran last."""
    begun = list(_BEGAN.finditer(output))
    return f"`{begun[-1][2]}` ({begun[-1][1]})" if begun else None


def run_without(mutation: Mutation, tree: Path) -> Run:
    """Its tests, while the mechanism is gone from `tree`."""
    path = tree / mutation.path
    before = path.read_text()
    path.write_text(mutation.applied_to(tree))
    try:
        return run_tests(tree, mutation.tests)
    finally:
        path.write_text(before)


def chosen(words: list[str]) -> list[Mutation]:
    """The mutations of the mechanisms named; all, where none is."""
    return [one for one in MUTATIONS if not words or any(word in one.mechanism for word in words)]


def main() -> int:
    """The whole table; returns the exit code."""
    unproved = 0
    sound: dict[str, Run] = {}
    began = time.monotonic()
    print("| mechanism | removed | noticed by | s |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        (tree / "simpledist_web").symlink_to("web")  # the name under which it is installed
        for one in chosen(sys.argv[1:]):
            if one.tests not in sound:
                sound[one.tests] = run_tests(tree, one.tests)
            if sound[one.tests].failed:
                noticed, seconds = f"**fails without**: {sound[one.tests].failed}", 0.0
                print(sound[one.tests].output, file=sys.stderr)
                unproved += 1
            else:
                run = run_without(one, tree)
                noticed, seconds = run.failed or "**nothing**", run.seconds
                unproved += run.failed is None
            print(f"| {one.mechanism} | {one.removed} | {noticed} | {seconds:.0f} |", flush=True)
    print(f"\n{unproved} unproved, {time.monotonic() - began:.0f} s")
    return 1 if unproved else 0


if __name__ == "__main__":
    sys.exit(main())
