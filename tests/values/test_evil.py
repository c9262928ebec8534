"""Values whose pickles kill, hang or raise where they are loaded: never in the client's own process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.engine import throwaway
from simpledist.errors import FunctionCrashed
from tests.trees import ROOT
from tests.values.functions import evil
from tests.values.functions.evil import Evil, EvilToPickle

HARM = ["exit", "kill", "close", "sys.exit", "interrupt"]


@pytest.fixture(autouse=True)
def nothing_evil_is_loaded_here() -> Iterator[None]:
    evil.loaded.clear()
    yield
    assert not evil.loaded


def of(client: simpledist.Client, name: str) -> simpledist.WorkerFunction[..., Any]:
    return simpledist.worker_function(client, name, getattr(evil, name))


@pytest.mark.parametrize("what", HARM)
def test_an_argument_that_harms_who_loads_it_harms_no_client(client: simpledist.Client, what: str) -> None:
    assert of(client, "kind_of")(Evil(what, os.getpid())) == "Evil"
    assert of(client, "kind_of").submit(Evil(what, os.getpid())).result(30) == "Evil"


def test_an_argument_that_is_never_loaded_costs_its_caller_the_budget(client: simpledist.Client) -> None:
    function = simpledist.worker_function(client, "kind_of", evil.kind_of, timeout=1.0)
    assert function(Evil("sleep", os.getpid())) == "Evil"


@pytest.mark.parametrize("what", ["sys.exit", "interrupt"])
def test_an_argument_that_raises_while_it_is_pickled_is_kept_here(client: simpledist.Client, what: str) -> None:
    future = of(client, "evil_to_pickle").submit(what)
    assert isinstance(future.result(20), EvilToPickle)


@pytest.mark.parametrize("name", ["evil", "nested_evil"])
@pytest.mark.parametrize("what", HARM)
def test_a_result_that_harms_who_loads_it_is_made_at_the_client(
    client: simpledist.Client, name: str, what: str
) -> None:
    value = of(client, name)(what, os.getpid())
    assert type(value if name == "evil" else value["a"][0]) is Evil


@pytest.mark.parametrize("name", ["deep_evil", "late_evil", "big_evil"])
@pytest.mark.parametrize("what", HARM)
def test_a_result_that_harms_who_loads_it_is_seen_wherever_it_is(
    client: simpledist.Client, name: str, what: str
) -> None:
    assert type(evil.innermost(of(client, name)(what, os.getpid()))) is Evil


@pytest.mark.parametrize("what", HARM)
def test_an_exception_that_harms_who_loads_it_is_raised_at_the_client(client: simpledist.Client, what: str) -> None:
    with pytest.raises(ValueError, match="Evil") as raised:
        of(client, "evil_error")(what, os.getpid())
    assert type(raised.value.args[0]) is Evil


def test_who_dies_at_work_has_crashed_whatever_its_arguments(client: simpledist.Client) -> None:
    with pytest.raises(FunctionCrashed):
        of(client, "dies_at_work")(Evil("exit", os.getpid()), os.getpid())
    with pytest.raises(FunctionCrashed):
        of(client, "dies_at_work")(1, os.getpid())


def test_the_throw_away_child_takes_no_file_of_the_current_folder(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    for name in ("json", "struct", "simpledist", "subprocess", "evil_of_all"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w').close()\n")
    script = elsewhere / "script.py"
    script.write_text(
        "import sys\n"
        "from simpledist.engine import throwaway\n"
        "from tests.values.functions.limited import depth\n"
        "assert '' not in sys.path\n"
        "print(throwaway.run('f', depth, (3,), {}, why='crashed'))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert not (tmp_path / "taken").exists()


def test_the_throw_away_child_imports_what_its_caller_can(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def double(x): return 2 * x\n")
    code = (
        "import mine\nfrom simpledist.engine import throwaway\n"
        "print(throwaway.run('f', mine.double, (3,), {}, why='crashed'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr


def test_a_value_that_kills_who_pickles_it_is_made_here_once_its_function_has_ended() -> None:
    value = throwaway.run("f", evil.evil_to_pickle, ("exit",), {}, why="crashed")
    assert isinstance(value, EvilToPickle)
