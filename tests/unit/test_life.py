"""When a worker ends by itself, and what it offers no more before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpledist import policy
from simpledist.errors import ConfigurationError
from simpledist.worker import life as module
from simpledist.worker.life import Bounds, Life
from simpledist.worker.refusals import Refusals


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def over(life: Life, now: float, *, idle: bool = True, away: bool = False, at_work: int = 0, done: int = 0) -> str:
    return life.over(now, idle=idle, away=away, at_work=at_work, done=done)


def test_without_bounds_it_goes_on(now: list[float]) -> None:
    life = Life(Bounds())
    assert not life.is_bounded
    assert over(life, 1e9, done=10**9) == ""
    assert life.due() == float("inf")


def test_a_lifetime_ends(now: list[float]) -> None:
    life = Life(Bounds(lifetime_seconds=60.0))
    assert over(life, 1059.9, idle=False) == ""
    assert over(life, 1060.0, idle=False) == "its lifetime is over"
    assert life.due() == 1060.0


def test_workers_end_at_different_times_within_the_stagger(now: list[float]) -> None:
    ends = {Life(Bounds(lifetime_seconds=60.0, stagger_seconds=20.0)).due() for _ in range(200)}
    assert len(ends) > 190
    assert 1040.0 <= min(ends) < 1045.0
    assert 1055.0 < max(ends) <= 1060.0
    assert Life(Bounds(lifetime_seconds=10.0, stagger_seconds=99.0)).due() >= 1000.0


def test_only_a_worker_that_could_have_a_job_is_idle(now: list[float]) -> None:
    life = Life(Bounds(idle_seconds=5.0))
    assert over(life, 1004.9) == ""
    assert over(life, 1010.0, idle=False) == ""
    assert life.due() == 1015.0
    assert over(life, 1014.9) == ""
    assert over(life, 1015.0) == "it was idle for 5 s"


@pytest.mark.parametrize(("idle_seconds", "least"), [(5.0, policy.GONE_SECONDS), (900.0, 900.0)])
def test_a_redis_that_is_away_for_minutes_is_waited_for_no_more(
    now: list[float], idle_seconds: float, least: float
) -> None:
    life = Life(Bounds(idle_seconds=idle_seconds))
    assert over(life, 2000.0, idle=False, away=True, at_work=1) == "", "a child has a job"
    assert over(life, 2000.0 + least - 0.1, idle=False, away=True) == ""
    assert life.due() == 2000.0 + least
    assert over(life, 2000.0 + least, idle=False, away=True) == f"it was idle for {least:g} s, without Redis"
    again = Life(Bounds(idle_seconds=idle_seconds))
    assert over(again, 1000.0 + least - 0.1, idle=False) == ""
    assert over(again, 1000.0 + least + 0.1, idle=False, away=True) == "", "it was there"


def test_without_idle_exit_it_is_waited_for_for_ever(now: list[float]) -> None:
    assert over(Life(Bounds(lifetime_seconds=1e9, jobs=5)), 1e8, idle=False, away=True) == ""


@pytest.mark.parametrize(("at_work", "done", "ends"), [(0, 2, False), (1, 1, False), (1, 2, True), (0, 3, True)])
def test_jobs_that_run_count(now: list[float], at_work: int, done: int, ends: bool) -> None:
    life = Life(Bounds(jobs=3))
    assert bool(over(life, 1000.0, idle=False, at_work=at_work, done=done)) is ends


def test_what_does_not_fit_into_the_rest_of_a_life_is_withdrawn(now: list[float]) -> None:
    life = Life(Bounds(lifetime_seconds=100.0), grace_seconds=10.0)
    refusals = Refusals(life=life)
    for seconds in (1.0,) * 19 + (90.0,):
        life.took("seldom", seconds)  # one in twenty: the 95th percentile is 1 s
    for seconds in (1.0,) * 18 + (50.0,) * 2:
        life.took("long", seconds)
    life.took("longer", 109.0)
    assert refusals.withdrawn() == frozenset()
    now[0] += 2.0
    assert refusals.withdrawn() == {"longer"}
    now[0] += 59.0  # 39 s, and the grace of 10 s
    assert refusals.withdrawn() == {"long", "longer"}
    assert refusals.taken(["seldom", "long", "longer"]) == ["seldom"]


def test_without_a_lifetime_nothing_is_remembered(now: list[float]) -> None:
    life = Life(Bounds(jobs=5))
    life.took("f", 1e9)
    assert life.too_long() == frozenset()


def test_the_file_is_touched_once_a_second_and_goes_at_the_end(tmp_path: Path, now: list[float]) -> None:
    file = tmp_path / "alive"
    life = Life(Bounds(alive=file))
    life.begin()
    assert file.exists()
    life.touch(1000.0)
    assert life.due() == 1001.0
    file.unlink()
    life.touch(1000.9)
    assert not file.exists()
    life.touch(1001.0)
    assert file.exists()
    life.end()
    life.end()
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--alive .*none/alive cannot be written: No such file"):
        Life(Bounds(alive=tmp_path / "none" / "alive")).begin()
