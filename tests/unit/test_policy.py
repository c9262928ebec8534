"""The numbers and small laws of policy.py, and how they hang together."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist import policy
from simpledist.policy import TIMINGS, Pace, Timings, backoff_seconds, may_take_next, worker_health


@pytest.mark.parametrize(
    ("age", "dead", "word"),
    [
        (0.0, False, "alive"),
        (-3.0, False, "alive"),  # the clocks of Redis may step
        (-10.1, False, "silent"),  # no one beats in the future
        (5.0, False, "alive"),
        (5.1, False, "late"),
        (10.0, False, "late"),
        (10.1, False, "silent"),
        (1e9, False, "silent"),
        (0.0, True, "dead"),
        (1e9, True, "dead"),
    ],
)
def test_a_worker_is_called_after_the_age_of_its_beat(age: float, dead: bool, word: str) -> None:
    assert worker_health(age, dead=dead) == word


def test_health_follows_the_timings_given() -> None:
    fast = dataclasses.replace(TIMINGS, late_seconds=0.1, silent_seconds=0.2)
    assert [worker_health(age, dead=False, timings=fast) for age in (0.05, 0.15, 0.25)] == ["alive", "late", "silent"]


def test_timings_have_their_units_in_their_names_and_are_positive() -> None:
    for field in dataclasses.fields(Timings):
        assert field.name.endswith("_seconds")
        assert getattr(TIMINGS, field.name) > 0


def test_one_lost_beat_makes_no_one_late_and_three_lost_beats_are_no_death() -> None:
    assert TIMINGS.beat_seconds * 2 <= TIMINGS.late_seconds
    assert TIMINGS.beat_seconds * 4 <= TIMINGS.silent_seconds
    assert TIMINGS.late_seconds < TIMINGS.silent_seconds


def test_the_contract_fixes_these() -> None:
    assert (TIMINGS.beat_seconds, TIMINGS.late_seconds, TIMINGS.silent_seconds) == (2.5, 5.0, 10.0)
    assert (TIMINGS.duties_seconds, TIMINGS.nudge_seconds, TIMINGS.redis_grace_seconds) == (0.25, 1.0, 5.0)
    assert (TIMINGS.closed_grace_seconds, TIMINGS.closed_client_grace_seconds) == (0.5, 1.0)
    assert (TIMINGS.silent_client_seconds, TIMINGS.unfinished_ttl_seconds, TIMINGS.ended_ttl_seconds) == (
        60,
        86400,
        120,
    )
    assert (policy.CRASH_CAP, policy.LOSS_CAP, policy.ATTEMPT_CAP) == (2, 3, 10)
    assert (policy.BATCH_ITEMS, policy.BATCH_BYTES, policy.BESIDE_BYTES) == (1000, 1 << 20, 64 << 10)


def test_what_travels_inline_is_small_and_what_travels_beside_is_big() -> None:
    assert policy.INLINE_BYTES < policy.BESIDE_BYTES < policy.BATCH_BYTES < policy.MAX_VALUE_BYTES


@given(st.floats(0, 10), st.integers(0, 100), st.integers(1, 64))
def test_a_worker_of_one_function_always_takes_its_next_job(since: float, taken: int, slots: int) -> None:
    assert may_take_next(others=False, since_pop_seconds=since, taken=taken, slots=slots)


@pytest.mark.parametrize(
    ("since", "taken", "expected"),
    [(0.05, 3, True), (0.05, 400, True), (0.15, 3, True), (0.15, 4, False), (0.1, 4, False), (9.0, 0, True)],
)
def test_a_worker_of_many_goes_back_to_all_queues_after_100_ms_and_a_turn_of_its_slots(
    since: float, taken: int, expected: bool
) -> None:
    assert may_take_next(others=True, since_pop_seconds=since, taken=taken, slots=4) is expected


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_waiting_between_connection_attempts_is_short_and_bounded(failures: int, jitter: float) -> None:
    assert 0.025 <= backoff_seconds(failures, jitter) <= 1.0


def test_waiting_grows_with_failures_and_jitter_spreads_it() -> None:
    waits = [backoff_seconds(failures, 0.0) for failures in range(6)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]
    assert backoff_seconds(3, 0.0) < backoff_seconds(3, 0.9)


# --- how many short jobs a child is given --------------------------------------------------------------------------


def test_a_function_that_has_never_run_goes_one_job_at_a_time() -> None:
    assert Pace().next_batch() == Pace(1, None)


@given(st.lists(st.floats(0, 1000), max_size=30), st.integers(1, 500))
def test_a_batch_never_more_than_doubles_and_never_is_empty(runs: list[float], most: int) -> None:
    pace = Pace()
    for seconds in runs:
        pace = pace.ran(seconds)
        grown = pace.next_batch(most)
        assert 1 <= grown.batch <= max(1, min(2 * pace.batch, most))
        pace = grown


def test_batches_of_quick_jobs_grow_to_the_aim_and_shrink_at_once() -> None:
    pace = Pace()
    for _ in range(20):
        pace = pace.ran(0.0005).next_batch()
    assert pace.batch == round(policy.BATCH_SECONDS / 0.0005)
    assert pace.ran(1.0).next_batch().batch == 1


def test_jobs_longer_than_the_aim_are_never_batched() -> None:
    pace = Pace()
    for _ in range(20):
        pace = pace.ran(policy.BATCH_SECONDS * 1.01).next_batch()
    assert pace.batch == 1


@pytest.mark.parametrize(
    ("runs", "ahead"),
    [([], False), ([0.001], False), ([0.01], True), ([0.05] * 9, True), ([0.2], True), ([1.0], False)],
)
def test_a_busy_child_has_its_next_job_where_the_wait_behind_the_first_is_short(runs: list[float], ahead: bool) -> None:
    pace = Pace()
    for seconds in runs:
        pace = pace.ran(seconds).next_batch()
    assert pace.ahead is ahead
    assert pace.patience_seconds >= policy.SLOW_SECONDS


@given(st.lists(st.floats(0, 1000), max_size=30))
def test_jobs_wait_behind_busy_children_one_by_one_or_come_in_batches(runs: list[float]) -> None:
    pace = Pace()
    for seconds in runs:
        pace = pace.ran(seconds).next_batch()
        assert not (pace.ahead and pace.batch > 1)


@given(st.integers(0, 100_000))
def test_clients_share_what_their_nudges_ask_after(clients: int) -> None:
    each = policy.nudge_ids(clients)
    assert (each == policy.NUDGE_IDS) == (clients <= 100)
    assert each * clients <= policy.NUDGE_IDS_TOGETHER or each == policy.NUDGE_IDS_LEAST


def test_short_replies_are_read_in_groups_that_grow_and_long_ones_by_the_slice() -> None:
    most, sizes = policy.REPLIES_FIRST, list[int]()
    for _ in range(5):
        most = policy.next_replies(most, most, 150 * most)
        sizes.append(most)
    assert sizes == [64, 128, 256, 256, 256]
    assert sizes[-1] * policy.INLINE_BYTES <= policy.BATCH_BYTES, "should all of them be long after all"
    assert policy.next_replies(256, 256, 256 * policy.INLINE_BYTES) == policy.REPLIES_FIRST


def test_a_group_of_replies_that_was_not_full_says_nothing_of_more() -> None:
    assert policy.next_replies(64, 0, 0) == policy.next_replies(64, 3, 450) == 64
    assert policy.next_replies(64, 3, 3 * policy.INLINE_BYTES) == policy.REPLIES_FIRST
