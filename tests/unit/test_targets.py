"""What a worker's target means where functions are decorated: the function behind, under the name that clients call."""

from __future__ import annotations

import pytest

from simpledist.client.function import WorkerFunction
from simpledist.worker.targets import resolve
from tests.sources import Sources

MODULE = """
import simpledist

dist = simpledist.connect()

@simpledist.function(dist)
def plain(n):
    return n + 1

@simpledist.function(dist, "renamed", version=3)
def versioned(n):
    return n + 2

def bare(n):
    return n + 3
"""


@pytest.fixture
def module(sources: Sources) -> str:
    """The name of an importable module with decorated functions."""
    sources.write("decorated_functions.py", MODULE)
    return "decorated_functions"


def test_a_module_offers_its_decorated_functions_as_clients_call_them(module: str) -> None:
    offered = resolve([module])
    assert set(offered) == {"plain", "renamed@3", "bare"}
    assert [function(1) for function in offered.values()] == [2, 3, 4]
    assert not any(isinstance(function, WorkerFunction) for function in offered.values())


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("{}:plain", "plain"),
        ("{}:versioned", "renamed@3"),
        ("{}:versioned@4", "renamed@4"),
        ("other={}:versioned", "other@3"),
        ("other={}:plain@2", "other@2"),
        ("{}:bare@2", "bare@2"),
    ],
)
def test_a_target_may_say_otherwise(module: str, target: str, name: str) -> None:
    assert list(resolve([target.format(module)])) == [name]
