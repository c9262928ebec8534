"""Redis' clock as a process knows it: what a reading says, what several say together, and what a jump does."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from simpledist import clock
from simpledist.clock import Reading, ServerClock

T0 = 1_800_000_000.0  # Redis' time less moment(), in seconds


def reading(at: float, *, sent_before: float = 0.0, received_after: float = 0.0, offset: float = T0) -> Reading:
    """What a process gets that asks at `at`, of a Redis whose clock is that far ahead of moment()."""
    return Reading(int((at + offset) * 1000), at - sent_before, at + received_after)


def test_one_that_was_never_read_shows_nothing() -> None:
    assert ServerClock().ms() == ServerClock().ms(5.0) == 0


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 2), st.floats(0, 2)), min_size=1, max_size=20))
def test_it_is_never_ahead_and_behind_by_no_more_than_the_best_answer_took(
    looks: list[tuple[float, float, float]],
) -> None:
    server, now = ServerClock(), 1000.0
    best = float("inf")
    for wait, there, back in looks:
        now += wait + there
        server.read(reading(now, sent_before=there, received_after=back))
        now += back
        best = min(best + (wait + there + back) * 2 * clock.DRIFT, there + back + 0.003)
        true_ms = (now + T0) * 1000
        assert true_ms - best * 1000 - 2 <= server.ms(now) <= true_ms


def test_a_reading_that_was_looked_at_late_spoils_nothing() -> None:
    server = ServerClock()
    server.read(reading(10.0))
    server.read(reading(20.0, received_after=60.0))
    assert (20.0 + T0) * 1000 - 40 <= server.ms(20.0) <= (20.0 + T0) * 1000


def test_after_a_jump_the_new_time_counts() -> None:
    server = ServerClock()
    server.read(reading(10.0))
    for jump in (-3600.0, 90_000.0, 0.5):
        server.read(reading(11.0, offset=T0 + jump))
        assert abs(server.ms(11.0) - (11.0 + T0 + jump) * 1000) < 5


def test_it_goes_on_with_the_steady_clock_and_tells_of_earlier_moments() -> None:
    server = ServerClock()
    server.read(reading(clock.moment()))
    first = server.ms()
    earlier = clock.moment()
    while clock.moment() < earlier + 0.02:
        pass
    assert first + 19 <= server.ms() < first + 2000
    assert first <= server.ms(earlier) <= first + 500


def test_the_steady_clock_does_not_run_back() -> None:
    moments = [clock.moment() for _ in range(1000)]
    assert moments == sorted(moments)
    assert abs(clock.moment() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
