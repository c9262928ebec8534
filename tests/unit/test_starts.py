"""When a place of a worker gets its next child, and what people read of those that cannot start."""

from __future__ import annotations

from simpledist import policy
from simpledist.worker.starts import Starts


def failing(starts: Starts, number: int, now: float = 0.0, why: str = "no port") -> None:
    starts.lost(number, why, now, with_job=False, of_use=False)


def test_the_first_is_replaced_at_once_and_then_the_pauses_double_up_to_half_a_minute() -> None:
    pauses = [policy.restart_seconds(failed) for failed in range(1, 15)]
    assert pauses[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == policy.RESTART_SECONDS_MOST == 30.0
    now, starts = 0.0, 0
    while now < 30.0:
        starts += 1
        now += policy.restart_seconds(starts) + 0.05
    assert starts < 12, "in half a minute"


def test_a_place_and_the_template_wait_longer_after_each_failure() -> None:
    starts = Starts(1)
    for pause in (0.0, 0.1, 0.2, 0.4):
        failing(starts, 0, now=7.0)
        starts.template_failed("no module", 7.0)
        assert starts.places[0].due == 7.0 + pause
        assert starts.template.due == 7.0 + pause


def test_one_child_that_ended_is_no_trouble() -> None:
    starts = Starts(2)
    starts.ever = True
    failing(starts, 0)
    assert starts.trouble(set(), 0.0) == ""
    assert starts.places[0].due == 0.0


def test_trouble_says_how_many_and_why() -> None:
    starts = Starts(2)
    for _ in range(2):
        failing(starts, 0)
    assert starts.trouble({1}, 1.0) == "1 of 2 children cannot start: no port"
    assert starts.trouble(set(), 1.0) == "", "the other may still begin"
    for _ in range(2):
        failing(starts, 1, why="no\nprocess")
    assert starts.trouble(set(), 1.0).startswith("no child can start: no")
    assert "\n" not in starts.trouble(set(), 1.0)


def test_a_child_that_begins_after_others_failed_must_prove_itself() -> None:
    starts = Starts(1)
    assert starts.proof_seconds(0) == 0.0
    failing(starts, 0)
    assert starts.proof_seconds(0) == 0.0, "one may have been killed"
    failing(starts, 0)
    assert starts.proof_seconds(0) == policy.PROOF_SECONDS
    starts.proved(0)
    assert starts.proof_seconds(0) == 0.0
    assert starts.trouble({0}, 0.0) == ""


def test_what_a_job_does_to_its_child_never_takes_the_offers_back() -> None:
    starts = Starts(1)
    for _ in range(100):
        starts.lost(0, "exit status 3", 0.0, with_job=True, of_use=False)
        assert starts.places[0].due == 0.0
    assert starts.trouble(set(), 0.0) == ""
    assert starts.proof_seconds(0) == policy.PROOF_SECONDS, "but it may have been the child's own doing"


def test_a_child_that_was_of_use_starts_the_count_anew() -> None:
    starts = Starts(1)
    for _ in range(5):
        failing(starts, 0)
    starts.lost(0, "killed", 0.0, with_job=False, of_use=True)
    assert (starts.places[0].failed, starts.places[0].due) == (1, 0.0)


def test_only_a_worker_that_never_had_a_child_gives_up() -> None:
    starts, other = Starts(1), Starts(1)
    other.proof_seconds(0)
    for one in (starts, other):
        failing(one, 0, 1.0)
        failing(one, 0, 1.5)
        assert not one.hopeless(2.0)
    assert starts.hopeless(1.0 + policy.HOPELESS_SECONDS)
    assert not other.hopeless(1000.0)


def test_a_child_that_does_not_begin_is_spoken_of_after_five_seconds() -> None:
    starts = Starts(1)
    assert starts.trouble(set(), 10.0) == ""
    assert starts.speaks_at() == 10.0 + policy.BEGIN_SECONDS
    assert starts.trouble(set(), 15.0) == "no child has begun yet"
    assert starts.trouble({0}, 16.0) == ""
    assert starts.speaks_at() == float("inf")


def test_without_a_template_no_child_can_start() -> None:
    starts = Starts(3)
    starts.template_failed("SyntaxError", 0.0)
    starts.template_failed("SyntaxError", 0.0)
    assert starts.trouble(set(), 0.0) == "no child can start: SyntaxError"
    starts.proof_seconds(1)
    assert starts.trouble({1}, 0.0) == ""
