"""disable and forget: what operators do to functions."""

from __future__ import annotations

from simpledist.broker.records import Ended, job_label
from tests.broker.bench import Bench


def test_what_is_queued_goes_home_and_what_runs_goes_on(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2", "c1-3")
    (running,) = bench.claim()
    assert bench.broker.disable("fib") == ("disabled", 2)
    assert [(one.id, one.state, one.why) for one in bench.replies()] == [
        ("c1-2", "failed", "disabled"),
        ("c1-3", "failed", "disabled"),
    ]
    assert bench.ledger() == bench.queue() == []
    assert bench.succeed(running) == "succeeded"
    assert bench.submit("c1-4") == ["disabled"]
    assert bench.broker.disable("fib") == ("disabled", 0)
    assert bench.broker.disable("fib", enable=True) == ("enabled", 0)
    assert bench.submit("c1-4") == ["queued"]


def test_more_jobs_than_a_script_takes_go_home_and_those_of_all_lanes(bench: Bench) -> None:
    bench.worker("w1")
    row = {"functions": ["fib"], "connection": "run1:101"}
    (other,) = bench.broker.beat("w2", "run1:101", [], row, {"fib": "a" * 16}).lanes
    for lane in ("fib", other):
        ids = [f"c1-{lane[-1]}{n}" for n in range(1100)]
        for first in (0, 1000):
            bench.submit(*ids[first : first + 1000], function=lane)
    assert bench.broker.disable("fib") == ("disabled", 2200)
    assert len(bench.replies()) == 2200
    assert not bench.exists("queued", "fib")
    assert not bench.exists("queued", other)


def test_each_version_is_disabled_for_itself_and_what_is_not_known_is_not(bench: Bench) -> None:
    bench.worker("w1", "fib", "fib@2")
    assert bench.broker.disable("fib@2") == ("disabled", 0)
    assert bench.submit("c1-1") == ["queued"]
    assert bench.submit("c1-2", function="fib@2") == ["disabled"]
    assert bench.broker.disable("fibb") == ("unknown", 0)
    assert not bench.exists("meta", "fibb")


def test_kept_values_of_a_disabled_function_answer(bench: Bench) -> None:
    bench.worker()
    label = job_label("c1-1", "a", join=True, cache_seconds=3600)
    bench.broker.submit("fib", "c1", "run1:200", [(label, b"call")])
    (claimed,) = bench.claim()
    bench.broker.complete("w1", bench.nonce(), [Ended(claimed.held, "value", b"55", 5)])
    bench.broker.disable("fib")
    (hit,) = bench.broker.submit("fib", "c1", "run1:200", [(label.replace("c1-1", "c1-2"), b"call")]).words
    assert getattr(hit, "result", None) == b"55"


def test_a_function_is_forgotten_with_everything_that_is_kept_of_it(bench: Bench) -> None:
    bench.worker()
    label = job_label("c1-1", "a", join=True, cache_seconds=3600)
    bench.broker.submit("fib", "c1", "run1:200", [(label, b"call")])
    assert bench.broker.forget("fib") == "busy"
    (claimed,) = bench.claim()
    assert bench.broker.forget("fib") == "busy"
    bench.broker.complete("w1", bench.nonce(), [Ended(claimed.held, "value", b"55", 5)])
    bench.broker.ack("c1", ["c1-1"])
    assert bench.broker.forget("fib") == "offered"
    bench.broker.leave("w1", final=True)
    bench.broker.disable("fib")
    assert bench.broker.forget("fib") == "disabled"
    bench.broker.disable("fib", enable=True)
    assert bench.broker.forget("fib") == "forgotten"
    left = {bench.keys.template_of(key.decode()) for key in bench.redis("KEYS", "simpledist:*")}
    # What is kept of the client, and of the minute's heartbeats.
    assert left <= {"clients", "epoch", "rollcall", "pulse", "reply", "vitals"}
    assert bench.broker.forget("fib") == "unknown"


def test_a_name_that_a_client_mistyped_is_forgotten_until_it_is_called_again(bench: Bench) -> None:
    bench.broker.ack("c1", [], {("fibb", "no_worker"): 1})
    assert bench.redis("SMEMBERS", bench.keys.functions)
    assert bench.broker.forget("fibb") == "forgotten"
    assert not bench.redis("SMEMBERS", bench.keys.functions)
