"""Maps whose short calls travel many as one job: order, exceptions, deaths and slow ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys
from simpledist.cluster import Cluster
from simpledist.errors import RemoteTraceback
from tests.links import open_link
from tests.waiting import wait_until

LOCAL = "local"


def offered(client: simpledist.Client, name: str, **options: Any) -> Any:
    return simpledist.worker_function(client, name, lambda *_: LOCAL, **options)


def jobs_of(client: simpledist.Client, function: str, cluster: Cluster) -> int:
    """How many jobs of a function were ever submitted."""
    with open_link(cluster.url) as link:
        return int(link.call("HGET", Keys().named("meta", function), "submitted") or 0)


@pytest.mark.parametrize("chunksize", ["auto", 1, 2, 7, 1000, 5000])
def test_every_call_has_its_own_outcome_in_order(client: simpledist.Client, chunksize: Any) -> None:
    echo = offered(client, "echo")
    assert list(echo.map(range(3000), chunksize=chunksize)) == list(range(3000))


@pytest.mark.parametrize("codec", ["pickle", "json"])
def test_batches_save_jobs(own_cluster: Cluster, codec: str) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        echo = offered(client, "echo", codec=codec)
        assert list(echo.map(range(500))) == list(range(500))  # now it is known to be quick
        before = jobs_of(client, "echo", own_cluster)
        assert list(echo.map(range(5000))) == list(range(5000))
        assert jobs_of(client, "echo", own_cluster) - before < 100


def test_calls_of_a_second_or_more_are_never_put_together(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=2)
    with own_cluster.connect() as client:
        sleep = offered(client, "sleep")
        for _ in range(2):
            assert list(sleep.map([0.03] * 20)) == [0.03] * 20
        assert jobs_of(client, "sleep", own_cluster) == 40


def test_an_exception_is_raised_at_its_place_and_the_others_are_to_be_had(
    client: simpledist.Client, tmp_path: Path
) -> None:
    act = offered(client, "act")
    outcomes = act.map([str(tmp_path)] * 30, range(30), ["quick"] * 10 + ["raise"] + ["quick"] * 19, chunksize=15)
    assert [next(outcomes) for _ in range(10)] == list(range(10))
    with pytest.raises(ValueError, match="10") as caught:
        next(outcomes)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert list(outcomes) == list(range(11, 30))


def test_a_call_that_kills_its_child_takes_no_other_with_it(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        act = offered(client, "act")
        names = [f"n{n}" for n in range(100)]
        whats = ["quick"] * 100
        whats[30] = "die"
        expected = [LOCAL if n == 30 else name for n, name in enumerate(names)]
        assert list(act.map([str(tmp_path)] * 100, names, whats, chunksize=50)) == expected
        begun = Counter((tmp_path / "acts").read_text().split())
        assert begun.pop("n30") == 2, "two workers' children, then a throw-away child with the local function"
        assert set(begun.values()) == {1}, "what was finished is kept"


def test_nothing_hides_behind_a_slow_call(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=2)
    with own_cluster.connect() as client:
        act = offered(client, "act")
        whats = ["quick"] * 100
        whats[50] = "3"
        outcomes = act.map([str(tmp_path)] * 100, range(100), whats, chunksize=100)
        assert [next(outcomes) for _ in range(50)] == list(range(50))
        begun = (tmp_path / "acts").read_text().split()
        wait_until(lambda: "99" in (tmp_path / "acts").read_text().split(), 2.5, "those behind it have run")
        assert list(outcomes) == list(range(50, 100))
        assert begun.count("49") == 1
        assert set(Counter((tmp_path / "acts").read_text().split()).values()) == {1}, "the slow one went on, too"


def test_a_slow_call_can_be_cancelled_and_the_others_are_not(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        act = offered(client, "act")
        outcomes = act.map([str(tmp_path)] * 30, range(30), ["quick"] * 10 + ["60"] + ["quick"] * 19, chunksize=30)
        assert [next(outcomes) for _ in range(10)] == list(range(10))
        outcomes.close()
        assert act(str(tmp_path), "after", "quick") == "after", "the only slot is free again"


def test_a_slow_call_whose_worker_is_lost_runs_on_another(own_cluster: Cluster, tmp_path: Path) -> None:
    first = own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        act = offered(client, "act")
        outcomes = act.map([str(tmp_path)] * 30, range(30), ["quick"] * 10 + ["3"] + ["quick"] * 19, chunksize=30)
        assert [next(outcomes) for _ in range(10)] == list(range(10))
        own_cluster.start_worker(slots=1)
        first.kill()
        assert list(outcomes) == list(range(10, 30))


def test_what_cannot_travel_runs_here_and_the_rest_does_not(client: simpledist.Client) -> None:
    lock = offered(client, "lock")
    assert list(lock.map(*[[]], chunksize=10)) == []
    echo = offered(client, "echo")
    values = [1, lambda: 2, 3]  # the middle one goes by value
    first, second, third = echo.map(values, chunksize=3)
    assert (first, second(), third) == (1, 2, 3)


def test_a_batch_that_no_one_offers_runs_here_call_by_call(client: simpledist.Client) -> None:
    def half(n: int) -> float:
        return 1 / (n - 5)

    nobody = simpledist.worker_function(client, "nobody", half)
    outcomes = nobody.map(range(10), chunksize=10)
    assert [next(outcomes) for _ in range(5)] == [half(n) for n in range(5)]
    with pytest.raises(ZeroDivisionError):
        next(outcomes)
    assert list(outcomes) == [half(n) for n in range(6, 10)]


def test_a_closed_map_cancels_its_batches(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        act = offered(client, "act")
        outcomes = act.map([str(tmp_path)] * 2000, range(2000), ["0.005"] * 2000, chunksize=20)
        assert next(outcomes) == 0
        outcomes.close()
        wait_until(lambda: offered(client, "echo")(1) == 1, 5, "the worker is free again")
        assert len((tmp_path / "acts").read_text().split()) < 500
        assert list(outcomes) == []


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_batch_holds_at_least_one_call(client: simpledist.Client, chunksize: int) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        offered(client, "echo").map([1], chunksize=chunksize)
