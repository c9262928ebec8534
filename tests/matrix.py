"""`make matrix`: the short tier on the corners of Python x redis-py x Redis, each in an environment of its own.

Prints a table, a row a corner, and on stderr what failed; ends with 1 if anything did or could not run: of a Python
or a Redis that is not here one line says how to get it. `ARGS=3.13` runs the corners of that Python alone, and
`JOBS=3` that many tests at a time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.environments import environment, python
from tests.servers import INSTALL, NEWER, OLDEST, servers, version_of
from tests.trees import copy_tree

# Python, redis-py, Redis. Each Python stands beside both Redis, and so do the oldest and the newest redis-py.
CORNERS = (
    ("3.10", 7, OLDEST),
    ("3.10", 8, NEWER),
    ("3.12", 5, OLDEST),
    ("3.12", 6, NEWER),
    ("3.13", 5, NEWER),
    ("3.13", 8, OLDEST),
)
# What may come out otherwise with another Python, redis-py or Redis: bytes, verbs, calls, and what is between a fault
# and its end. Not what takes long because time passes: chaos, silence, clocks.
SHORT_TIER = (
    "tests/unit",
    "tests/broker",
    "tests/integration/test_calls.py",
    "tests/integration/test_map_batches.py",
    "tests/integration/test_submit_batches.py",
    "tests/integration/test_big_values.py",
    "tests/interfaces/test_nested.py",
    "tests/faults/test_points.py",
    "tests/faults/test_child_death.py",
    "tests/faults/test_lost_replies.py",
    "tests/faults/test_redis_death.py",
    "tests/faults/test_hostile.py",
    "tests/faults/test_failover.py",
    "tests/security/test_tls.py",
    "tests/security/test_sentinels.py",
)
# In these folders, what reads files of this tree and comes out the same on every corner: style and words, who imports
# whom, whether mutations still apply, what tables name.
LEFT_OUT = (
    "tests/unit/test_architecture.py",
    "tests/unit/test_differences.py",
    "tests/unit/test_mutants.py",
    "tests/unit/test_plain_english.py",
    "tests/unit/test_reliability.py",
)
NEEDED = (
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "psutil>=5.9",
    "numpy>=1.26",
    "scipy>=1.13",
    "fakeredis[lua]>=2.26",
    "joblib>=1.5",
    "dask>=2024.8",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What pytest said at its end, how many tests failed, and all that it said."""

    passed: int
    failed: int
    skipped: int
    seconds: float
    output: str


def run_short_tier(inside: str, server: str, tree: Path) -> Outcome:
    """All of it, in this environment, on this tree, with this Redis where a test does not ask for another."""
    began = time.monotonic()
    settings = {
        "SIMPLEDIST_REDIS_SERVER": server,
        "SIMPLEDIST_TEST_REDIS": servers().get(OLDEST, server),
        "SIMPLEDIST_EXAMPLES": "15",
        "PYTHONPATH": str(tree),
    }
    at_a_time = ("-n", os.environ.get("JOBS", "0"), "--dist", "worksteal")
    # Where PYTHONDONTWRITEBYTECODE is set, each process that a test starts would compile the package again.
    subprocess.run([inside, "-m", "compileall", "-q", "simpledist", "web"], cwd=tree, check=True)
    left_out = (f"--ignore={path}" for path in LEFT_OUT)
    output = subprocess.run(
        [inside, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", *at_a_time, *left_out, *SHORT_TIER],
        cwd=tree,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    seconds = time.monotonic() - began
    counts = {
        word: int(number)
        for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", output.rsplit("\n", 2)[-2])
    }
    if "passed" not in counts:
        raise RuntimeError(f"pytest did not come to its end:\n{output}")
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return Outcome(counts["passed"], failed, counts.get("skipped", 0), seconds, output)


def main() -> int:
    """The whole table; returns the exit code."""
    corners = [one for one in CORNERS if all(word in map(str, one) for word in sys.argv[1:])]
    if not corners:
        print(f"no corner has {' and '.join(sys.argv[1:])}: they are {CORNERS}", file=sys.stderr)
        return 2
    unsound = 0
    print("| Python | redis-py | Redis | passed | failed | skipped | s |\n|---|---|---|---|---|---|---|", flush=True)
    for version, redis_py, kind in corners:
        executable, binary = python(version), servers().get(kind)
        if executable is None or binary is None:
            unsound += 1
            missing = (
                f"Redis {kind} here: {INSTALL[kind]}"
                if executable
                else f"Python {version} here: pyenv install {version}"
            )
            print(f"no {missing}", file=sys.stderr)
            continue
        inside = environment(
            f"matrix-{version}-redis-{redis_py}", (f"redis[hiredis]=={redis_py}.*", *NEEDED), executable=executable
        )
        versions = subprocess.run(
            [inside, "-c", "import platform, redis; print(platform.python_version(), '|', redis.__version__)"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
            copy_tree(Path(folder))
            one = run_short_tier(inside, binary, Path(folder))
        unsound += bool(one.failed)
        numbers = f"{one.passed} | {one.failed} | {one.skipped} | {one.seconds:.0f}"
        print(f"| {versions} | {'.'.join(map(str, version_of(binary)))} | {numbers} |", flush=True)
        if one.failed:
            print(one.output, file=sys.stderr)
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
