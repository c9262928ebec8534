"""`make foreign`: an environment of its own, other projects' suites in it, twice, and what differs.

Makes the environment in `.venv-foreign` (once), fetches the source distributions of joblib and loky from PyPI, starts a
cluster, and runs each suite with joblib's own loky and with the cluster in its place. Prints a row a suite, and each
test that came out otherwise with its reason (differences.py); ends with 1 for one without a reason, or one that hung.
`ARGS=joblib` runs one suite.
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
from tests.foreign.differences import reason
from tests.trees import ROOT

ENVIRONMENT = ROOT / ".venv-foreign"
SOURCES = ENVIRONMENT / "sources"
PLUGINS = Path(__file__).parent / "plugins"
INSIDE = str(ENVIRONMENT / "bin" / "python")
NEEDED = ("joblib>=1.5", "loky>=3.5", "scikit-learn>=1.5", "pytest>=8", "pytest-timeout>=2.3", "psutil>=5.9")
SLOTS = 4
TEST_SECONDS = 90  # a test that takes longer counts as one that hangs
SUITE_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of one project; `words`: only those in whose source one of them stands."""

    name: str
    tests: tuple[str, ...]
    from_source: bool = True
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


SUITES = (
    Suite("joblib", ("joblib/test/test_parallel.py", "joblib/test/test_config.py", "joblib/test/test_module.py")),
    Suite("loky", ("tests/test_process_executor_loky.py", "tests/test_reusable_executor.py")),
    Suite(
        "scikit-learn",
        ("sklearn.model_selection", "sklearn.ensemble", "sklearn.tests.test_multioutput", "sklearn.utils"),
        from_source=False,
        words=("n_jobs", "Parallel"),
        options=("--pyargs", "--import-mode=importlib", "-p", "no:doctest"),
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


def make_environment() -> None:
    """Make it, and fetch the sources, if that was not done before."""
    made = ENVIRONMENT / ".made"
    if made.exists():
        return
    print("an environment in .venv-foreign, and sources from PyPI: a few minutes", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    pip = [INSIDE, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--editable", ".[embedded]", *NEEDED], cwd=ROOT, check=True)
    question = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    told = subprocess.run([INSIDE, "-c", question, "joblib", "loky"], check=True, capture_output=True, text=True).stdout
    exact = [f"{name}=={version}" for name, version in zip(("joblib", "loky"), told.split(), strict=True)]
    subprocess.run([*pip, "download", "--no-deps", "--no-binary=:all:", f"--dest={SOURCES}", *exact], check=True)
    for archive in SOURCES.glob("*.tar.gz"):
        with tarfile.open(archive) as file:
            file.extractall(SOURCES, filter="data")
    made.touch()


def folder_of(suite: Suite, empty: Path) -> Path:
    """Return where the suite is run: in its project's sources, or where nothing shadows what is installed."""
    return next(path for path in SOURCES.glob(f"{suite.name}-*") if path.is_dir()) if suite.from_source else empty


def run(suite: Suite, folder: Path, backend: str, url: str) -> Run:
    """Run a suite; what pytest prints goes to stderr, so that a person sees that it goes on."""
    print(f"--- {suite.name} with {backend}", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as report:
        settings = {
            "FOREIGN_BACKEND": backend,
            "FOREIGN_REPORT": report.name,
            "FOREIGN_WORDS": ",".join(suite.words),
            "SIMPLEDIST_REDIS_URL": url,
            "PYTHONPATH": str(PLUGINS),
        }
        command = [INSIDE, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "outcomes", "-W", "default"]
        command += [f"--timeout={TEST_SECONDS}", "-o", "faulthandler_timeout=0", *suite.options, *suite.tests]
        try:
            code = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **settings},
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


def main() -> int:
    """The whole table; returns the exit code."""
    suites = [one for one in SUITES if all(word == one.name for word in sys.argv[1:])]
    if not suites:
        print(f"no such suite: they are {', '.join(one.name for one in SUITES)}", file=sys.stderr)
        return 2
    make_environment()
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        # The cluster's workers run under the Python of the suites.
        return subprocess.run([INSIDE, "-m", "tests.foreign", *sys.argv[1:]], cwd=ROOT, check=False).returncode
    unsound = 0
    print("| suite | tests | as with loky | otherwise | without a reason | hung | s, loky | s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    differing: list[tuple[str, str, str]] = []
    for suite in suites:
        with tempfile.TemporaryDirectory(prefix="foreign-") as empty:
            folder = folder_of(suite, Path(empty))
            theirs = run(suite, folder, "loky", "")
            settings = {"FOREIGN_BACKEND": "simpledist", "PYTHONPATH": str(PLUGINS)}
            with Cluster(folder=folder, environment=settings) as cluster:
                cluster.start_worker("--any", slots=SLOTS)
                ours = run(suite, folder, "simpledist", cluster.url)
        here = [(name, ours.outcomes.get(name, "missing")) for name in theirs.outcomes]
        others = [(name, outcome) for name, outcome in here if outcome != theirs.outcomes[name]]
        unknown = [name for name, _ in others if reason(name) is None]
        hung = ours.hung - theirs.hung
        unsound += len(unknown) + len(hung - {name for name, _ in others if reason(name)}) + (not ours.whole)
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
