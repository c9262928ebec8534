"""Limits of a worker's process are never a caller's outcome: the call runs under the client's own."""

from __future__ import annotations

import errno
import sys
from typing import Any

import pytest

import simpledist
from simpledist.engine import throwaway
from tests.values.functions import limited


def of(client: simpledist.Client, name: str) -> simpledist.WorkerFunction[..., Any]:
    return simpledist.worker_function(client, name, getattr(limited, name))


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("name", ["depth", "depth_wrapped", "depth_hidden"])
def test_a_clients_larger_recursion_limit_holds(client: simpledist.Client, name: str) -> None:
    sys.setrecursionlimit(20_000)
    function = of(client, name)
    assert function(3000) == 3000
    assert function.submit(3000).result(20) == 3000
    assert list(function.map([10, 3000])) == [10, 3000]


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="this Python has no such limit")
@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(("name", "value"), [("digits", 5001), ("from_digits", True)])
def test_a_clients_larger_limit_of_digits_holds(client: simpledist.Client, name: str, value: Any) -> None:
    sys.set_int_max_str_digits(0)
    function = of(client, name)
    assert function(5000) == value
    assert list(function.map([5000])) == [value]


@pytest.mark.parametrize(
    ("name", "args", "kind"),
    [
        ("endless", (), RecursionError),
        ("depth_hidden", (3000,), ValueError),
        ("full", (errno.EMFILE,), OSError),
        ("full", (errno.ENOSPC,), OSError),
    ],
)
def test_the_functions_own_excess_is_still_its_outcome(
    client: simpledist.Client, name: str, args: tuple[Any, ...], kind: type[Exception]
) -> None:
    future = of(client, name).submit(*args)
    assert type(future.exception(20)) is kind
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("local", "worker_error")


def test_an_error_that_is_no_limit_is_not_run_again(client: simpledist.Client) -> None:
    future = of(client, "full").submit(errno.ENOENT)
    assert isinstance(future.exception(20), FileNotFoundError)
    assert future.info is not None
    assert future.info.where == "remote"


@pytest.mark.usefixtures("limits")
def test_a_throw_away_child_has_its_callers_limits() -> None:
    sys.setrecursionlimit(20_000)
    assert throwaway.run("f", limited.depth, (3000,), {}, why="crashed") == 3000
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
        assert throwaway.run("f", limited.digits, (5000,), {}, why="crashed") == 5001
