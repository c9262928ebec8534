"""One place says whether a call travels: what holds for the whole client holds for every way to make calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest

from simpledist.costs import Costs
from simpledist.engine.known import Key, Store
from simpledist.engine.routing import TRAVEL, Face, Here, Later, Routing
from simpledist.engine.spec import FunctionSpec
from simpledist.policy import Experience
from simpledist.reasons import Why

FACES: tuple[Face, ...] = get_args(Face)
FIB = FunctionSpec("fib", abs)
LOCAL = FunctionSpec("fib", abs, policy="local")
AUTO = FunctionSpec("fib", abs, policy="auto")


@dataclass
class Redis:
    trouble: Why | None = None


def kept(key: Key, reason: str) -> None:
    """Take the line for the caller."""


def routing(trouble: Why | None = None, *, closed: bool = False, nested: bool = False) -> Routing:
    made = Routing(Redis(trouble), Store(), kept, closed=closed)
    made.nested = nested
    return made


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("batches", [True, False])
def test_a_call_travels_where_nothing_is_in_its_way(face: Face, batches: bool) -> None:
    assert routing().route(FIB, face, batches=batches) is TRAVEL


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize(
    ("asked", "spec", "why"),
    [
        (routing(closed=True), FIB, "closed"),
        (routing(nested=True), FIB, "nested"),
        (routing("redis_down"), FIB, "redis_down"),
        (routing("redis_refused"), FIB, "redis_refused"),
        (routing(), LOCAL, "local"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reason_of_the_whole_client_keeps_every_call(
    asked: Routing, spec: FunctionSpec, why: Why, face: Face, batches: bool
) -> None:
    way = asked.route(spec, face, batches=batches)
    assert isinstance(way, (Here, Later))
    assert way.why == why


def test_short_calls_of_a_map_run_in_its_loop_and_long_ones_wait_for_a_slot() -> None:
    for seconds, kind in ((1e-6, Here), (1.0, Later)):
        store = Store()
        store.of(Key("fib")).at_client = Experience().ran(1, seconds)
        assert isinstance(Routing(Redis("redis_down"), store, kept, closed=False).route(FIB, "map", batches=True), kind)


def test_a_word_about_workers_counts_for_maps_that_began_before_it() -> None:
    store = Store()
    known = store.of(Key("fib"))
    known.at_client = Experience().ran(1, 1e-6)
    known.said("no_worker")
    asked = Routing(Redis(), store, kept, closed=False)
    assert asked.route(FIB, "map", known.absent_at - 1, batches=True) == Here("no_worker")
    assert asked.route(FIB, "map", known.absent_at + 1, batches=True) is TRAVEL
    assert asked.route(FIB, "submit") is TRAVEL


def test_costs_are_not_asked_for_a_call_that_was_part_of_a_batch() -> None:
    store = Store()
    store.of(Key("fib")).costs = Costs(here=1e-6, there=1e-6, trip=1.0)
    asked = Routing(Redis(), store, kept, closed=False)
    assert asked.route(AUTO, "call") == Here("cheaper")
    assert asked.route(AUTO, "submit") == Later("cheaper")
    assert asked.route(AUTO, "again") is TRAVEL
