"""Where a call is cheaper: the decision of `policy="auto"`, on times alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simpledist.costs import EXPLORE_EVERY, SAFE_SECONDS, Costs

seconds = st.floats(1e-7, 1000)


def decisions(costs: Costs, count: int) -> list[bool]:
    found: list[bool] = []
    for _ in range(count):
        costs = costs.decided()
        found.append(costs.cheaper_here())
    return found


def test_what_was_never_seen_travels() -> None:
    assert not Costs().cheaper_here()
    assert not Costs().cheaper_here_in_a_map()


@given(st.floats(SAFE_SECONDS * 1.01, 1000), seconds)
def test_what_takes_long_elsewhere_is_never_tried_here(there: float, trip: float) -> None:
    costs = Costs().ran_there(there, trip)
    assert not any(decisions(costs, EXPLORE_EVERY))
    assert not costs.cheaper_here_in_a_map()


def test_what_is_shorter_than_its_trip_runs_here_and_now_and_then_there() -> None:
    costs = Costs().ran_there(0.00025, 0.001).ran_here(1e-6)
    assert decisions(costs, 2 * EXPLORE_EVERY).count(False) == 2


def test_what_was_dear_here_once_and_is_short_elsewhere_is_tried_again() -> None:
    costs = Costs().ran_there(0.00025, 0.001).ran_here(0.5)
    assert decisions(costs, 2 * EXPLORE_EVERY).count(True) == 2


def test_in_a_map_the_trip_is_shared_and_only_handling_counts() -> None:
    costs = Costs().ran_there(0.0001, 0.001).ran_here(0.0001).serialised(1e-6)
    assert costs.cheaper_here()
    assert not costs.cheaper_here_in_a_map()
    assert costs.serialised(0.001).cheaper_here_in_a_map(), "big arguments count"


@given(st.lists(seconds, min_size=1, max_size=50))
def test_an_average_stays_between_what_was_seen(runs: list[float]) -> None:
    costs = Costs()
    for one in runs:
        costs = costs.ran_here(one)
    assert costs.here is not None
    assert min(runs) * 0.999 <= costs.here <= max(runs) * 1.001
