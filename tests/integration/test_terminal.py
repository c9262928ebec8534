"""What a user reads on a terminal when calls run here and should not: programs that set up no logging of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from simpledist.cluster import Cluster
from tests import commands

PROGRAM = """
import sys, threading
import simpledist
import fns
{imports}
dist = simpledist.connect({url})
f = simpledist.worker_function(dist, "double", fns.double{options})
argument = {argument}
for n in range(15):
    print("result", type({call}).__name__)
"""
WORKER = r"worker w[0-9a-f]{12} \(\S+ on \S+, pid \d+\)"
CALLS = {
    "call": "f(argument)",
    "submit": "f.submit(argument).result()",
    "map": "list(f.map([argument]))[0]",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fns.py").write_text("def double(x):\n    return x\n")
    return tmp_path


def terminal(
    folder: Path,
    url: str,
    *,
    call: str = CALLS["call"],
    argument: str = "2",
    imports: str = "",
    options: str = "",
    environment: dict[str, str] | None = None,
) -> list[str]:
    """Run a program as from a terminal; return the first ten lines that it shows."""
    program = PROGRAM.format(url=url, call=call, argument=argument, imports=imports, options=options)
    (folder / "program.py").write_text(program)
    return lines_of(folder, ["program.py"], environment)[:10]


def lines_of(folder: Path, words: Sequence[str], environment: dict[str, str] | None = None) -> list[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLEDIST_")}
    done = subprocess.run(
        [sys.executable, "-u", *words],
        cwd=folder,
        env=inherited | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wrong_url(folder: Path, call: str) -> None:
    url = f"redis://127.0.0.1:{commands.free_port()}/0"
    first, *others = terminal(folder, repr(url), call=call)
    assert first == (
        f"Redis at {url} cannot be reached: [Errno 111] Connection refused: calls run here (redis_down); "
        "start Redis, or correct its URL; simpledist doctor says more"
    )
    assert others == ["result int"] * 9, "one line a client"


def test_a_wrong_url_of_the_environment_counts_as_given(folder: Path) -> None:
    url = f"redis://127.0.0.1:{commands.free_port()}/0"
    first, *_ = terminal(folder, "", environment={"SIMPLEDIST_REDIS_URL": url})
    assert first.startswith(f"Redis at {url} cannot be reached: ")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_worker(folder: Path, call: str) -> None:
    with Cluster(workers=0) as cluster:
        url = cluster.url
        first, *others = terminal(folder, repr(url), call=call)
    assert first == (
        f"no worker is running (Redis at {url}): calls run here (no_worker), those of double and of any other "
        f"function; start one with simpledist-worker fns:double --redis {url} "
        "(simpledist workers lists those that are there)"
    )
    assert others == ["result int"] * 9, "it is said once"


def test_a_worker_that_offers_something_else(folder: Path) -> None:
    (folder / "other.py").write_text("def triple(x):\n    return x\n")
    with Cluster("other", folder=folder, slots=1) as cluster:
        first, *others = terminal(folder, "", environment={"SIMPLEDIST_REDIS_URL": cluster.url})
    assert first == (
        "function double: calls run here (no_worker): no live worker offers it, they offer triple; "
        "start one with simpledist-worker fns:double (simpledist workers lists those that are there)"
    )
    assert others == ["result int"] * 9


def test_a_worker_that_takes_any_function_but_not_this_one(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with Cluster(workers=0, folder=empty, slots=1) as cluster:
        cluster.start_worker(arguments=["--any"])
        url = {"SIMPLEDIST_REDIS_URL": cluster.url}
        first, *others = terminal(folder, "", options=", ship=False", environment=url)
    assert first == (
        "function double: calls run here (no_worker): no live worker offers it, and those with --any were not there "
        "yet, or do not take it (ship=False, codec=, size); start one with simpledist-worker fns:double "
        "(simpledist workers lists those that are there)"
    )
    assert others == ["result int"] * 9


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wrong_key(folder: Path, tmp_path: Path, call: str) -> None:
    key = tmp_path / "other key"
    assert commands.run("secret", str(key)).returncode == 0
    with Cluster("fns", folder=folder, slots=1) as cluster:
        first, *others = terminal(
            folder, repr(cluster.url), call=call, environment={"SIMPLEDIST_SECRET_FILE": str(key)}
        )
    assert re.fullmatch(
        rf"function double: its workers hold other keys \([0-9a-f]{{8}}\) than the one that signs our calls "
        rf"\([0-9a-f]{{8}} of {key}\), which run here; give the workers our key and start them again: "
        rf"scp '{key}' USER@HOST:.config/simpledist/key, or name one file everywhere \(--secret-file FILE\)",
        first,
    )
    assert others == ["result int"] * 9


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_module_that_the_worker_lacks(folder: Path, tmp_path: Path, call: str) -> None:
    bare = tmp_path / "worker"
    bare.mkdir()
    (bare / "fns.py").write_text((folder / "fns.py").read_text())
    (folder / "shapes.py").write_text("class Shape:\n    pass\n")
    with Cluster("fns", folder=bare, slots=1) as cluster:
        first, *others = terminal(
            folder, repr(cluster.url), call=call, argument="shapes.Shape()", imports="import shapes"
        )
    assert re.fullmatch(
        rf"function double: calls run here \(undecodable\): {WORKER}: ModuleNotFoundError: No module named 'shapes'; "
        "give clients and workers the same packages, files and Python",
        first,
    )
    assert others == ["result Shape"] * 9


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_argument_that_cannot_be_pickled(folder: Path, call: str) -> None:
    with Cluster("fns", folder=folder, slots=1) as cluster:
        first, *others = terminal(folder, repr(cluster.url), call=call, argument="threading.Lock()")
    assert first == (
        "function double: calls run here (unserialisable): TypeError: cannot pickle '_thread.lock' object; "
        "pass data instead of open files, locks, connections and generators"
    )
    assert others == ["result lock"] * 9


def test_what_is_asked_for_is_not_said(folder: Path) -> None:
    (folder / "program.py").write_text(
        textwrap.dedent(
            """
            import sys, simpledist, fns
            dist = simpledist.connect(sys.argv[1])
            options = [{"policy": "local"}, {"policy": "auto"}, {"max_queue": 0}, {"timeout": 1e-6}]
            for number, one in enumerate(options):
                f = simpledist.worker_function(dist, "double", fns.double, **one)
                print({f.submit(2).result() for _ in range(20)}, {f(2) for _ in range(20)})
            dist.close()
            print(f(2))
            """
        )
    )
    with Cluster("fns", folder=folder, slots=1) as cluster:
        assert lines_of(folder, ["program.py", cluster.url]) == ["{2} {2}"] * 4 + ["2"]


def test_without_a_url_a_redis_that_is_not_there_is_no_news(folder: Path) -> None:
    """A program that may use a cluster, and has none: a line at INFO, for who wants to know."""
    (folder / "program.py").write_text(
        textwrap.dedent(
            """
            import logging, sys, simpledist, fns
            import simpledist.config.settings as settings
            settings.DEFAULT_URL = sys.argv[1]
            if sys.argv[2:]:
                logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
            f = simpledist.worker_function(simpledist.connect(), "double", fns.double)
            print([f(n) for n in range(3)])
            """
        )
    )
    url = f"redis://127.0.0.1:{commands.free_port()}/0"
    assert lines_of(folder, ["program.py", url]) == ["[0, 1, 2]"]
    printed = lines_of(folder, ["program.py", url, "informed"])
    assert f"INFO Redis at {url} cannot be reached: [Errno 111] Connection refused: calls run here (redis_down); " in (
        printed[0] + printed[1]
    )
