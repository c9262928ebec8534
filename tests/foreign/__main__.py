"""`make foreign`: other projects' suites in an environment of their own, with loky and with the cluster in its place.

Fetches the source distributions of joblib and loky from PyPI, starts a cluster for each suite, and compares. Prints a
row a suite, and each test that came out otherwise with its reason (differences.py); ends with 1 for one without a
reason, or one that hung. `ARGS=joblib` runs one suite.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simpledist.cluster import Cluster
from tests.environments import PIP, environment
from tests.foreign.differences import LEFT_OUT, reason
from tests.trees import ROOT

NAME = "foreign"
SOURCES = ROOT / f".venv-{NAME}" / "sources"
HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
FROM_SOURCE = ("joblib", "loky")
NEEDED = (
    *("joblib>=1.5", "loky>=3.5", "scikit-learn>=1.5", "scipy>=1.16", "dask[array]>=2024.8", "adaptive>=1.4"),
    *("dynesty>=3", "emcee>=3.1", "tqdm>=4.60", "pytest>=8", "pytest-timeout>=2.3", "psutil>=5.9"),
)
SLOTS = 4
TEST_SECONDS = 90  # a test that takes longer counts as one that hangs
SUITE_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of one project; `words`: only those in whose source one of them stands."""

    name: str
    tests: tuple[str, ...]
    folder: Path | None = None  # where its tests lie: by default in the project's source distribution
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


SKLEARN = (
    *("model_selection", "ensemble", "utils", "inspection", "decomposition", "compose", "linear_model"),
    *("feature_selection", "covariance", "neighbors", "tests.test_multioutput", "tests.test_pipeline"),
)
INSTALLED = ("--pyargs", "-c", "pytest.ini", f"--rootdir={SOURCES.parent}")  # tests of a package that is installed
SUITES = (
    Suite("joblib", ("joblib/test/test_parallel.py", "joblib/test/test_config.py", "joblib/test/test_module.py")),
    Suite(
        "loky",
        ("tests/test_process_executor_loky.py", "tests/test_reusable_executor.py"),
        options=("--skip-high-memory", "--loky-verbosity=30"),
    ),
    Suite(
        "scikit-learn",
        tuple(f"sklearn.{part}" for part in SKLEARN),
        folder=PLUGINS,  # where nothing shadows what is installed
        words=("n_jobs", "Parallel"),
        options=(*INSTALLED, "--import-mode=importlib", "-p", "no:doctest"),
    ),
    Suite(
        "dask",
        ("dask.bag.tests.test_bag", "dask.tests.test_delayed"),
        folder=PLUGINS,
        options=(*INSTALLED, "-p", "dask_on_an_executor"),
    ),
    Suite(
        "libraries",
        ("test_programs.py",),
        folder=HERE / "libraries",
        options=("-c", "../plugins/pytest.ini", "--rootdir=.", "--confcutdir=."),
    ),
)


@dataclass(slots=True)
class Run:
    """What came of a suite: the outcome of each test, why, and which of them hung."""

    outcomes: dict[str, str] = field(default_factory=dict[str, str])
    why: dict[str, str] = field(default_factory=dict[str, str])
    hung: set[str] = field(default_factory=set[str])
    whole: bool = True  # it came to its end
    seconds: float = 0.0


def fetch_sources(inside: str, folder: Path) -> None:
    """Put the source distributions of what is installed into the environment, for the tests in them."""
    question = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    versions = subprocess.run([inside, "-c", question, *FROM_SOURCE], check=True, capture_output=True, text=True).stdout
    exact = [f"{name}=={version}" for name, version in zip(FROM_SOURCE, versions.split(), strict=True)]
    sources = folder / "sources"
    subprocess.run(
        [inside, *PIP, "download", "--no-deps", "--no-binary=:all:", f"--dest={sources}", *exact], check=True
    )
    for archive in sources.glob("*.tar.gz"):
        with tarfile.open(archive) as file:
            file.extractall(sources, filter="data")


def run(suite: Suite, folder: Path, settings: dict[str, str]) -> Run:
    """Run a suite; what pytest prints goes to stderr, so that a person sees that it goes on."""
    print(f"--- {suite.name} with {settings['FOREIGN_BACKEND']}", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as report:
        place = {
            "FOREIGN_REPORT": report.name,
            "FOREIGN_WORDS": ",".join(suite.words),
            "FOREIGN_LEFT_OUT": "|".join(pattern for pattern, _ in LEFT_OUT),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "outcomes", "-W", "default"]
        command += [f"--timeout={TEST_SECONDS}", "-o", "faulthandler_timeout=0", *suite.options, *suite.tests]
        try:
            code = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **settings, **place},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                timeout=SUITE_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
        one = Run(whole=code in (0, 1), seconds=time.monotonic() - began)
        for line in report.read().splitlines():
            note: dict[str, Any] = json.loads(line)
            name = f"{suite.name}: {note['test']}"
            if one.outcomes.get(name) != "failed":
                one.outcomes[name], one.why[name] = note["outcome"], note["why"]
            if note["hung"]:
                one.hung.add(name)
    return one


def run_twice(suite: Suite) -> tuple[Run, Run]:
    """Run a suite with loky, and with the cluster in the place of loky in every process that the suite starts."""
    folder = suite.folder or next(path for path in SOURCES.glob(f"{suite.name}-*") if path.is_dir())
    settings = {"FOREIGN_BACKEND": "loky", "PYTHONPATH": str(PLUGINS)}
    theirs = run(suite, folder, settings)
    settings["FOREIGN_BACKEND"] = "simpledist"
    with Cluster(folder=folder, environment=settings) as cluster:
        cluster.start_worker("--any", slots=SLOTS)
        return theirs, run(suite, folder, {**settings, "SIMPLEDIST_REDIS_URL": cluster.url})


def main() -> int:
    """Print the whole table; return the exit code."""
    suites = [one for one in SUITES if all(word == one.name for word in sys.argv[1:])]
    if not suites:
        print(f"no such suite: they are {', '.join(one.name for one in SUITES)}", file=sys.stderr)
        return 2
    if Path(sys.prefix).resolve() != SOURCES.parent.resolve():
        # The cluster's workers run under the Python of the suites.
        inside = environment(NAME, NEEDED, extra="[embedded]", add=fetch_sources)
        return subprocess.run([inside, "-m", "tests.foreign", *sys.argv[1:]], cwd=ROOT, check=False).returncode
    unsound = 0
    print("| suite | tests | as with loky | otherwise | without a reason | hung | s, loky | s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    differing: list[tuple[str, str, str]] = []
    for suite in suites:
        theirs, ours = run_twice(suite)
        here = [(name, ours.outcomes.get(name, "missing")) for name in theirs.outcomes]
        others = [(name, outcome) for name, outcome in here if outcome not in ("passed", theirs.outcomes[name])]
        unknown = [name for name, _ in others if reason(name) is None]
        hung = ours.hung - theirs.hung
        unsound += len(unknown) + len(hung) + (not ours.whole)
        differing += [(name, outcome, ours.why.get(name, "")) for name, outcome in others]
        numbers = (len(here), len(here) - len(others), len(others), len(unknown), len(hung))
        print(
            f"| {suite.name} | {' | '.join(map(str, numbers))} | {theirs.seconds:.0f} | {ours.seconds:.0f} |",
            flush=True,
        )
        if not ours.whole:
            print(f"{suite.name} did not come to its end", file=sys.stderr)
    for name, outcome, why in differing:
        print(f"\n{name}: {outcome}\n    {reason(name) or f'NO REASON: {why}'}")
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
