"""Workers of other Python minors: what travels by value is run by its own minor only, everything else by any."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.job import Info
from tests import matrix, needs
from tests.integration.functions import foreign
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [minor for minor in ("3.10", "3.11", "3.12", "3.13") if minor != MINOR]
# What a worker imports besides this package; the last two only on 3.10, and only redis-py asks for them.
IMPORTED = ("redis", "cloudpickle", "click", "async_timeout", "typing_extensions")
NOT_THERE = ("undecodable", "no_worker")  # why code stays at home: refused, or no worker of its minor was found


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a worker imports, of which any Python can load the pure parts."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "simpledist").symlink_to(ROOT / "simpledist")
    for distribution in IMPORTED:
        files = metadata.distribution(distribution)
        found = [Path(str(files.locate_file(name))) for name in (distribution, f"{distribution}.py")]
        pure = next(path for path in found if path.exists())
        (folder / pure.name).symlink_to(pure)
    return folder


@contextmanager
def worker_of(python: str, cluster: Cluster, packages: Path) -> Generator[subprocess.Popen[bytes]]:
    command = [python, "-m", "simpledist.cli.worker", "tests.integration.functions.foreign", "--redis", cluster.url]
    environment = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen([*command, "--slots", "1"], env=environment, cwd=packages) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module", params=OTHERS)
def abroad(request: pytest.FixtureRequest, packages: Path) -> Iterator[Cluster]:
    """A cluster whose only worker is of another Python."""
    python = matrix.python(request.param) or needs.missing(f"no Python {request.param} here: pyenv install it")
    with Cluster(workers=0, folder=ROOT) as cluster, worker_of(python, cluster, packages):
        with cluster.connect() as client:
            where = simpledist.worker_function(client, "python", foreign.python)
            wait_until(lambda: where() == request.param, 30, "it serves")
        yield cluster


@pytest.fixture
def client(abroad: Cluster) -> Iterator[simpledist.Client]:
    with abroad.connect() as one:
        yield one


def wrapped(client: simpledist.Client, local: Any, **options: Any) -> Any:
    return simpledist.worker_function(client, local.__name__, local, **options)


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(30)
    assert future.info is not None
    return future.info


def code() -> list[Any]:
    """Code of many kinds, each to be called with 4."""
    factor = 3

    def closure(x: int) -> int:
        return x + factor

    def comprehends(x: int) -> list[int]:
        try:
            return [i * i for i in range(x)]
        finally:
            pass

    def matches(x: int) -> str:
        match x:
            case 4:
                return "four"
            case _:
                return "other"

    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

        def __call__(self, x: int) -> tuple[int, int]:
            return self.value, x

    double: Callable[[int], int] = lambda x: x * 2  # noqa: E731 - a lambda is what travels
    text: Callable[[int], str] = lambda x: f"{x:>4}"  # noqa: E731 - the same
    return [double, closure, comprehends, matches, Local(5), text]


def test_code_in_an_argument_is_run_here_and_its_value_is_right(client: simpledist.Client) -> None:
    apply = wrapped(client, foreign.apply)
    for function in code():
        future = apply.submit(function, 4)
        assert future.result(30) == function(4)
        info = info_of(future)
        assert info.where == "local"
        assert info.why in NOT_THERE


@pytest.mark.parametrize("chunksize", [1, 3, "auto"])
def test_a_map_over_code_gives_each_its_own_value(client: simpledist.Client, chunksize: Any) -> None:
    functions = code()
    mapped = wrapped(client, foreign.apply).map(functions, [4] * len(functions), chunksize=chunksize)
    assert list(mapped) == [function(4) for function in functions]


def test_what_holds_no_code_travels(client: simpledist.Client) -> None:
    future = wrapped(client, foreign.apply).submit(abs, -4)
    assert future.result(30) == 4
    assert info_of(future).where == "remote"
    assert wrapped(client, foreign.python)() != MINOR


def test_a_result_with_code_in_it_is_computed_here(client: simpledist.Client) -> None:
    for kind in ("function", "class", "among others"):
        future = wrapped(client, foreign.make).submit(kind)
        made = future.result(30)
        assert foreign.used(made) == foreign.used(foreign.make(kind)) == 42
        assert info_of(future).why == "undecodable"


def test_a_batch_keeps_the_results_without_code_in_them(client: simpledist.Client) -> None:
    kinds = ["function", "nothing", "class", "nothing"]
    made = list(wrapped(client, foreign.make).map(kinds, chunksize=4))
    assert [foreign.used(one) for one in made] == [42, 0, 42, 0]


def test_an_exception_with_code_in_it_is_raised_here(client: simpledist.Client) -> None:
    future = wrapped(client, foreign.fail).submit()
    error = future.exception(30)
    assert type(error) is ValueError
    assert error.args[0](41) == 42
    assert info_of(future).why == "undecodable"


def test_the_log_says_which_python_is_wanted(
    client: simpledist.Client, abroad: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    f = wrapped(client, foreign.apply)
    f(code()[0], 5)
    wait_until(lambda: caplog.messages, 10, "the line")
    (line,) = caplog.messages
    assert re.fullmatch(
        rf"function apply: calls run here \(no_worker\): its workers run Python 3\.1\d, and code that travels with a "
        rf"call runs under {MINOR}; start one with simpledist-worker \S+:apply --redis {abroad.url} "
        rf"under Python {MINOR} \(simpledist workers lists those that are there\)",
        line,
    )


def test_code_goes_to_a_worker_of_its_own_python_in_the_end(client: simpledist.Client, abroad: Cluster) -> None:
    apply = wrapped(client, foreign.apply)
    worker = abroad.start_worker("tests.integration.functions.foreign", slots=1)
    try:
        for function in code() * 3:
            future = apply.submit(function, 4)
            assert future.result(30) == function(4)
    finally:
        worker.stop()
