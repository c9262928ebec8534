"""What comes back from a worker is what a local call gives: every kind of value and exception, by every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.trees import ROOT
from tests.values.describing import described, described_error
from tests.values.functions import outcomes

MODULE = "tests.values.functions.outcomes"
# Which part of a call's outcome is the machine's affair and no function's: that of a frame or a file's access times.
_OF_THE_MOMENT = ("frame", "struct_sequence")


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Callable[[Any, str], Any]]]:
    """The ways to call a function on a worker of two slots."""
    with Cluster(MODULE, workers=1, slots=2, folder=ROOT) as cluster:
        client = cluster.connect()
        functions = {
            function: simpledist.worker_function(client, function.__name__, function)
            for function in (outcomes.value, outcomes.raising)
        }
        functions[outcomes.value].submit("number 0").result(30)  # its client's thread stays, and is no test's own
        executor = client.executor()
        yield {
            "call": lambda function, name: functions[function](name),
            "submit": lambda function, name: functions[function].submit(name).result(30),
            "map": lambda function, name: next(functions[function].map([name])),
            "executor": lambda function, name: executor.submit(function, name).result(30),
        }
        executor.shutdown()


def outcome(call: Callable[[], Any]) -> Any:
    """Described at once, by the thread that has it: an iterator or a file is used up by nothing else."""
    try:
        return "value", described(call())
    except BaseException as error:  # noqa: BLE001 - it is the outcome
        return "error", described_error(error)


def _way_of(way: str, name: str) -> bool:
    # A StopIteration that passes through `next` ends the map; see the local call of `map`.
    return not (way == "map" and "stop" in name.lower())


@pytest.mark.parametrize("name", [name for name in outcomes.VALUES if name not in _OF_THE_MOMENT])
def test_a_value_is_that_of_a_local_call(ways: dict[str, Callable[[Any, str], Any]], name: str) -> None:
    local = outcome(lambda: outcomes.value(name))
    assert local[0] == "value"
    for way, call in ways.items():
        assert outcome(lambda call=call: call(outcomes.value, name)) == local, way


@pytest.mark.parametrize("name", list(outcomes.RAISES))
def test_an_exception_is_that_of_a_local_call(ways: dict[str, Callable[[Any, str], Any]], name: str) -> None:
    local = outcome(lambda: outcomes.raising(name))
    assert local[0] == "error"
    for way, call in ways.items():
        if _way_of(way, name):
            assert outcome(lambda call=call: call(outcomes.raising, name)) == local, way


def test_there_are_cases_enough() -> None:
    assert len(outcomes.VALUES) + len(outcomes.RAISES) >= 275
