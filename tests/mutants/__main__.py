"""`make mutants`: take one mechanism after the other out of a copy of the tree, and see which test misses it.

Prints a table, a row a mutation. Ends with 1 where nothing has noticed one: then a test is missing. The test that
docs/reliability.md names for a row goes first, and then all of the row's tests. Those that notice are run once more in
the whole tree: what fails there too proves nothing. `-j 3` works on three copies at a time; each other argument is a
word of the mechanisms to take out.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue

from tests.mutants.mutation import Mutation
from tests.mutants.mutations import MUTATIONS
from tests.trees import ROOT, copy_tree

PAGE = ROOT / "docs/reliability.md"
MOST_SECONDS = 180.0
AT_A_TIME = 24  # rows whose tests are run together in the whole tree
_INTERRUPTED = 2  # pytest's exit code: KeyboardInterrupt came out of a test and ended the whole run
_BEGAN = re.compile(r"^tests/(\S+?\.py)::(\w+)", re.MULTILINE)
_FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+?\.py)::(\w+)", re.MULTILINE)

_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| `(test_\w+)` \((\S+\.py)\) \| \d+ \|$", re.MULTILINE)

# Half of the time of a short test goes into loading these two.
PLAIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:xdist", "-p", "no:looponfail")

_running: set[int] = set()  # process groups of pytest, for Ctrl-C


@dataclass(frozen=True, slots=True)
class Run:
    """What became of some tests: the first that failed, None if all passed; `test` is its id where it has one."""

    failed: str | None
    seconds: float
    output: str
    test: str | None = None


def run_pytest(tree: Path, *asked: str, most_seconds: float = MOST_SECONDS) -> tuple[int | None, str]:
    """Return the exit code of pytest in `tree`, None if it did not end in time, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-v", "-rfE", *PLAIN, *asked],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _running.add(process.pid)
    try:
        output, _ = process.communicate(timeout=most_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    finally:
        _running.discard(process.pid)
    return process.returncode, output


def run_tests(tree: Path, tests: str) -> Run:
    """Run them in `tree` until the first fails. Where pytest itself had nothing to run, none has."""
    began = time.monotonic()
    code, output = run_pytest(tree, "-x", *shlex.split(tests))
    seconds = time.monotonic() - began
    if code is None:
        return Run(f"no end within {MOST_SECONDS:.0f} s", seconds, output)
    if code == 0:
        return Run(None, seconds, output)
    found = _FAILED.search(output) if code == 1 else None
    if code == _INTERRUPTED and "! KeyboardInterrupt !" in output:
        *_, found = (None, *_BEGAN.finditer(output))  # the test that ran last
    if found:
        return Run(f"`{found[2]}` ({found[1]})", seconds, output, f"tests/{found[1]}::{found[2]}")
    if code in (1, 2, 4, 5) or "INTERNALERROR" in output:
        print(output, file=sys.stderr, flush=True)
        return Run(None, seconds, output)
    return Run("the tests' own process died", seconds, output)


def run_without(mutation: Mutation, tree: Path, known: str | None = None) -> Run:
    """Its tests, while the mechanism is gone from `tree`: first the one that is known to notice."""
    path = tree / mutation.path
    before = path.read_text()
    path.write_text(mutation.applied_to(tree))
    try:
        first = run_tests(tree, known) if known else None
        return first if first and first.failed else run_tests(tree, mutation.tests)
    finally:
        path.write_text(before)


def make_copy(tree: Path) -> None:
    """Copy the tree. Its byte code goes by the text of the sources: two changes of a file may share a second."""
    copy_tree(tree)
    (tree / "simpledist_web").symlink_to("web")  # the name under which it is installed
    for part in ("simpledist", "web", "tests"):
        compileall.compile_dir(tree / part, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


def noticed_last() -> dict[tuple[str, str], str]:
    """Which test the page names for each mutation: it goes first."""
    rows: list[tuple[str, str, str, str]] = _ROW.findall(PAGE.read_text())
    return {(mechanism, removed): f"tests/{file}::{test}" for mechanism, removed, test, file in rows}


def failing(whole: Path, tests: set[str]) -> set[str]:
    """Return which of these fail in the whole tree: all together first, and those that fail there alone."""
    doubtful = {one for one in tests if " " in one}
    if together := tests - doubtful:
        code, output = run_pytest(whole, *sorted(together), most_seconds=MOST_SECONDS + 20 * len(together))
        if code != 0:
            print(output, file=sys.stderr, flush=True)
            found = {f"tests/{file}::{test}" for file, test in _FAILED.findall(output)}
            doubtful |= found & together if code == 1 else together
    return {one for one in sorted(doubtful) if run_pytest(whole, *shlex.split(one))[0] != 0}


def verdict(run: Run, tests: str, unsound: set[str]) -> str | None:
    """Return why a row proves nothing, None if it does."""
    if run.failed is None:
        return "**nothing**"
    return f"**fails without**: {run.failed}" if (run.test or tests) in unsound else None


def chosen(words: list[str]) -> list[Mutation]:
    """The mutations of the mechanisms named; all, where none is."""
    return [one for one in MUTATIONS if not words or any(word in one.mechanism for word in words)]


def main() -> int:
    """The whole table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="copies to work on at a time")
    parser.add_argument("words", nargs="*", help="only mechanisms with one of these words in their names")
    asked = parser.parse_args()
    mutations, known = chosen(asked.words), noticed_last()
    unproved = 0
    began = time.monotonic()
    print("| mechanism | removed | noticed by | s |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(asked.jobs) as threads:
        whole, *copies = (Path(folder) / str(number) for number in range(asked.jobs + 1))
        free: SimpleQueue[Path] = SimpleQueue()
        make_copy(whole)
        for copy in copies:
            make_copy(copy)
            free.put(copy)

        def run_row(one: Mutation) -> Run:
            tree = free.get()
            try:
                run = run_without(one, tree, known.get((one.mechanism, one.removed)))
                print(f"{one.mechanism}: {one.removed}: {run.failed}", file=sys.stderr, flush=True)
                return run
            finally:
                free.put(tree)

        runs = [threads.submit(run_row, one) for one in mutations]
        try:
            for at in range(0, len(runs), AT_A_TIME):
                some = slice(at, at + AT_A_TIME)
                group = [(one, run.result()) for one, run in zip(mutations[some], runs[some], strict=True)]
                unsound = failing(whole, {run.test or one.tests for one, run in group if run.failed})
                for one, run in group:
                    wrong = verdict(run, one.tests, unsound)
                    unproved += wrong is not None
                    print(
                        f"| {one.mechanism} | {one.removed} | {wrong or run.failed} | {run.seconds:.0f} |", flush=True
                    )
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for group_id in tuple(_running):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group_id, signal.SIGKILL)
            raise
    print(f"\n{unproved} unproved, {time.monotonic() - began:.0f} s")
    return 1 if unproved else 0


if __name__ == "__main__":
    sys.exit(main())
