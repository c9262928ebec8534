"""The read model over what the verbs write: complete after any restart, right however often it looks, and cheap."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simpledist.broker.records import Ended, Failed
from simpledist.broker.worker_stats import WorkerStats
from simpledist.embedded import EmbeddedRedis
from tests.stage import Stage

ERROR = "ValueError: no\nfns.py:31 in throw\nTraceback:\nValueError: no"


@pytest.fixture
def stage(redis_server: EmbeddedRedis) -> Iterator[Stage]:
    one = Stage(redis_server)
    yield one
    one.close()


def test_a_monitor_that_looks_again_sees_what_one_that_looks_first_sees(stage: Stage) -> None:
    old = stage.monitor()
    assert old.snapshot().functions == ()
    stage.worker("w1", "fib", "gcd@2")
    stage.run(3)
    stage.submit(2)
    stage.broker.claim("w1", "n", "fib", [], [2])
    for snapshot in (old.snapshot(), stage.monitor().snapshot()):
        fib, gcd = snapshot.functions
        assert (fib.function, fib.queued, fib.running, fib.workers, fib.counters["succeeded"]) == ("fib", 1, 1, 1, 3)
        assert (gcd.name, gcd.version, gcd.workers) == ("gcd", "2", 1)
        assert [(one.worker, one.slot) for one in snapshot.running] == [("w1", 2)]
        worker = snapshot.workers[0]
        assert worker.stats == WorkerStats(at_work=1, memory_bytes=2048 * 1024, jobs_done=7)
        assert (worker.busy, worker.draining) == (1, False)


def test_what_did_not_change_is_not_read_again(stage: Stage) -> None:
    stage.worker("w1", *[f"f{number}" for number in range(50)])
    monitor = stage.monitor()
    monitor.snapshot()
    before = calls(stage, "zcard")
    stage.submit(1, "f7")
    assert {one.function for one in monitor.snapshot().functions if one.queued} == {"f7"}
    assert calls(stage, "zcard") - before <= 3, "the verbs' own and that of f7"


def calls(stage: Stage, command: str) -> int:
    stats = stage.link.call("INFO", "commandstats").decode()
    line = next((line for line in stats.splitlines() if line.startswith(f"cmdstat_{command}:")), "calls=0,")
    return int(line.partition("calls=")[2].partition(",")[0])


def test_a_redis_that_was_emptied_is_seen_empty(stage: Stage) -> None:
    stage.worker()
    stage.run(3)
    monitor = stage.monitor()
    assert monitor.snapshot().functions
    assert len(monitor.stream()) == 3
    stage.link.call("FLUSHALL")
    assert monitor.snapshot().functions == ()
    assert monitor.snapshot().workers == ()
    stage.worker()
    stage.run(1)
    assert len([one for one in monitor.stream() if one.id == "c1-3"]) == 1


def test_measures_and_charts_come_from_redis_alone(stage: Stage) -> None:
    stage.worker()
    stage.run(90, run_ms=100)
    stage.run(10, run_ms=3000)
    stage.run(5, error=ERROR)
    stage.broker.ack("c1", [], {("fib", "no_worker"): 4, ("fib", "timeout"): 9})
    for monitor in (stage.monitor(), stage.monitor()):
        measure = monitor.measures(["fib"])["fib"]
        assert measure.hour.ended == 118
        assert measure.hour.local == {"timeout": 9, "no_worker": 4}
        assert measure.hour.raised == 5
        assert 0 < measure.calls_per_second <= 118 / 60
        assert measure.run.count == 105
        median, slow = measure.run.quantile(0.5), measure.run.quantile(0.99)
        assert median is not None
        assert slow is not None
        assert 0.07 <= median <= 0.1
        assert 2.0 <= slow <= 3.0
        bins = monitor.series("fib")
        assert (len(bins), sum(one.tally.ended for one in bins)) == (60, 118)
        day = monitor.day("fib")
        assert (len(day), sum(one.tally.ended for one in day)) == (96, 118)
        together, pulses = monitor.hour()
        assert (len(together), sum(one.tally.ended for one in together)) == (60, 118)
        assert pulses[-1].slots > 0


def test_the_stream_grows_by_what_ended_since_and_names_lanes(stage: Stage) -> None:
    stage.worker()
    monitor = stage.monitor()
    assert monitor.stream() == ()
    for _ in range(3):
        stage.run(4)
    stream = monitor.stream()
    assert len({one.id for one in stream}) == len(stream) == 12
    assert {(one.worker, one.slot) for one in stream} == {("w1", slot) for slot in range(4)}
    assert monitor.stream() == stream


def test_failures_are_shown_in_groups(stage: Stage) -> None:
    stage.worker()
    stage.run(3, error=ERROR)
    stage.submit()
    claimed = stage.broker.claim("w1", "n", "fib", [], [0])[0]
    stage.broker.fail("w1", [Failed(claimed.held, "worker_error", "MemoryError: 17 bytes")])
    groups = {one.kind: one for one in stage.monitor().failures()}
    assert (groups["ValueError"].count, groups["ValueError"].place) == (3, "fns.py:31 in throw")
    assert groups["ValueError"].traceback.startswith("Traceback")
    assert groups["worker_error"].place == "MemoryError: # bytes"


def test_a_job_is_described_from_its_queue_to_its_end_and_beyond_its_keys(stage: Stage) -> None:
    stage.worker()
    monitor = stage.monitor()
    id = stage.submit()[0]
    queued = monitor.job(id)
    assert queued is not None
    assert (queued.state, queued.function, queued.trips) == ("queued", "fib", ())
    claimed = stage.broker.claim("w1", "n1", "fib", [], [1])[0]
    stage.broker.fail("w1", [Failed(claimed.held, "crashed", "the child died")])
    claimed = stage.broker.claim("w1", "n2", "fib", [], [3])[0]
    running = monitor.job(id)
    assert running is not None
    assert [(one.slot, one.how, one.ended is None) for one in running.trips] == [(1, "crashed", False), (3, "", True)]
    stage.broker.complete("w1", "n3", [Ended(claimed.held, "error", b"x", 10, ERROR)])
    ended = monitor.job(id)
    assert ended is not None
    assert (ended.state, ended.error, ended.attempts, ended.kept) == ("failed", "ValueError: no", 2, True)
    stage.broker.ack("c1", [id])
    stage.link.call("DEL", stage.keys.named("job", id))
    for remembered in (monitor.job(id), monitor.job(id, "fib")):
        assert remembered is not None
        assert (remembered.state, remembered.kept) == ("failed", False)
        assert [(one.slot, one.how) for one in remembered.trips] == [(1, "crashed"), (3, "failed")]
        assert remembered.submitted == pytest.approx(queued.submitted, abs=0.01)
    assert monitor.job("never-1") is None


def test_queues_are_paged_one_after_the_other(stage: Stage) -> None:
    stage.worker("w1", "a", "b", "c")
    stage.submit(5, "a")
    stage.submit(5, "c")
    monitor = stage.monitor()
    assert [(one.function, one.place) for one in monitor.queued(first=3, limit=4)] == [
        ("a", 3),
        ("a", 4),
        ("c", 0),
        ("c", 1),
    ]
    assert [one.place for one in monitor.queued("c", first=4)] == [4]


def test_a_redis_that_is_away_gives_empty_answers_and_comes_back_by_itself(stage: Stage) -> None:
    stage.worker()
    stage.run(1)
    monitor = stage.monitor()
    assert monitor.snapshot().redis.ok
    stage.server.stop()
    assert not monitor.snapshot().redis.ok
    assert (monitor.stream(), monitor.measures(["fib"]), monitor.series("fib"), monitor.job("c1-0")) == (
        (),
        {},
        (),
        None,
    )
    stage.server.start()
    assert monitor.snapshot().redis.ok


def test_many_that_ask_in_one_second_cost_one_reading(stage: Stage) -> None:
    stage.worker()
    stage.run(1)
    monitor = stage.monitor(keep_seconds=60.0)
    monitor.snapshot()
    monitor.hour()
    before = calls(stage, "time"), calls(stage, "hgetall")
    for _ in range(50):
        monitor.snapshot()
        monitor.hour()
    assert (calls(stage, "time"), calls(stage, "hgetall")) == before
