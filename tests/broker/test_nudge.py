"""nudge: a client lives, learns what became of its jobs, and repairs their queues: the last reaper."""

from __future__ import annotations

import pytest

from simpledist import policy
from simpledist.broker import client_demand
from simpledist.broker.client_demand import AtClient
from simpledist.broker.records import Failed, Reply, Suspect, Wish
from tests.broker.bench import RUN_ID, Bench

CONNECTION = "run1:200"


def nudge(bench: Bench, *ids: str, function: str = "fib") -> list[str | Reply]:
    return bench.broker.nudge("c1", CONNECTION, [(function, id) for id in ids]).words


def test_it_tells_what_became_of_each_job(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2", "c1-3")
    succeeded, _ = bench.claim(2)
    bench.succeed(succeeded)
    words = nudge(bench, "c1-1", "c1-2", "c1-3", "c1-4")
    assert isinstance(words[0], Reply)
    assert (words[0].id, words[0].state, words[0].result) == ("c1-1", "succeeded", b"value")
    assert words[1:] == ["running", "queued", "missing"]


def test_an_outcome_that_was_lost_on_its_way_is_read_again(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.succeed(bench.claim()[0])
    (reply,) = bench.replies()
    bench.redis("DEL", bench.keys.reply("c1"))
    assert nudge(bench, "c1-1") == [reply]


def test_a_job_for_the_client_to_run_says_why(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.broker.fail("w1", [Failed(bench.claim()[0].held, "too_big")])
    (word,) = nudge(bench, "c1-1")
    assert isinstance(word, Reply)
    assert (word.state, word.why) == ("failed", "too_big")


def test_a_queued_job_hears_that_no_worker_is_left(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.broker.leave("w1", final=True)
    assert nudge(bench, "c1-1") == ["no_worker"]
    bench.worker()
    assert nudge(bench, "c1-1") == ["queued"]


def test_it_tells_of_functions_whether_a_live_worker_is_there(bench: Bench) -> None:
    bench.worker("w1", "fib")
    nudged = bench.broker.nudge("c1", CONNECTION, [], [("fib", Wish()), ("gcd", Wish())])
    assert nudged.live == ["ok", "no_worker"]


def test_a_popped_and_lost_element_is_back_within_a_second_of_nudges(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    bench.pop()
    assert nudge(bench, "c1-1") == ["queued"]
    assert bench.queue() == ["c1-2"], "its claim may be under way"
    bench.advance(1)
    nudge(bench, "c1-1")
    assert bench.queue() == bench.ledger() == ["c1-1", "c1-2"]
    assert bench.hash(bench.keys.named("meta", "fib"))["lost_pops"] == "1"
    assert bench.claim()[0].attempt == 1


def test_a_claim_under_way_is_not_disturbed(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    element = bench.pop()
    nudge(bench, "c1-1")
    bench.advance(0.5)
    assert len(bench.broker.claim("w1", "n", "fib", [element], [0])) == 1
    bench.advance(1)
    nudge(bench, "c1-1")
    assert bench.queue() == bench.ledger() == []


def test_the_silent_worker_that_holds_one_of_its_jobs_is_expelled(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.claim()
    bench.advance(9.9)
    assert nudge(bench, "c1-1") == ["running"]
    bench.advance(0.2)
    assert nudge(bench, "c1-1") == ["no_worker"]
    assert bench.queue() == ["c1-1"]
    assert bench.job("c1-1")["losses"] == "1"


@pytest.mark.parametrize("template", ["held", "current"])
def test_what_was_deleted_by_hand_is_mended(bench: Bench, template: str) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    (claimed,) = bench.claim()
    bench.redis("DEL", bench.keys.named("queue", "fib"), bench.keys.named("queued", "fib"))
    bench.redis("DEL", bench.keys.named(template, "w1" if template == "held" else "fib"))
    nudge(bench, "c1-1", "c1-2")
    bench.advance(1)
    nudge(bench, "c1-1", "c1-2")
    bench.advance(1)
    assert "c1-2" in bench.queue()
    assert bench.ledger() == bench.queue()
    assert bench.succeed(claimed) == "succeeded"
    assert [one.held.id for one in bench.claim(2)] == ["c1-2"]


def test_it_names_the_workers_whose_connection_is_to_be_looked_at_but_not_to_everybody(bench: Bench) -> None:
    bench.worker("w1", connection="run1:100")
    bench.worker("elsewhere", connection="run0:100")
    bench.submit("c1-1")
    first = bench.broker.nudge("c1", CONNECTION, [("fib", "c1-1")])
    assert first.suspects == [Suspect("worker", "w1", "run1:100")], "one of another run of Redis cannot be looked at"
    assert bench.broker.nudge("c2", "run1:201", [("fib", "c1-1")]).suspects == []
    bench.advance(0.25)
    assert len(bench.broker.nudge("c2", "run1:201", [("fib", "c1-1")]).suspects) == 1


def test_the_holder_of_its_job_it_may_always_look_at(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.claim()
    for _ in range(2):
        assert [one.id for one in bench.broker.nudge("c1", CONNECTION, [("fib", "c1-1")]).suspects] == ["w1"]


def test_it_keeps_the_client_and_its_jobs_alive(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    job = bench.keys.named("job", "c1-1")
    bench.redis("PEXPIRE", job, 1000)
    nudge(bench, "c1-1")
    assert bench.redis("PTTL", job) > 80_000_000
    for _ in range(4):
        bench.advance(30)
        nudge(bench)
        bench.worker()
    assert len(bench.claim()) == 1


def test_where_no_distributor_runs_clients_forget_the_dead(bench: Bench) -> None:
    bench.submit("c2-1", client="c2")
    bench.worker("silent")
    bench.advance(61)
    for _ in range(10):
        nudge(bench)
    assert list(bench.hash(bench.keys.clients)) == ["c1"]
    assert not bench.exists("offers", "fib")
    bench.advance(601)
    for _ in range(10):
        nudge(bench)
    assert bench.hash(bench.keys.workers) == bench.hash(bench.keys.heartbeats) == {}


def test_a_job_whose_worker_redis_has_forgotten_runs_elsewhere(bench: Bench) -> None:
    """Keys that were evicted, deleted by hand or half restored: no worker can be reaped for it."""
    bench.worker()
    bench.submit("c1-1")
    bench.claim()
    bench.redis("HDEL", bench.keys.workers, "w1")
    bench.redis("HDEL", bench.keys.named("offers", "fib"), "w1")
    bench.worker("w2", "fib")
    assert nudge(bench, "c1-1") == ["queued"]
    assert bench.claim(worker="w2")[0].attempt == 2
    assert nudge(bench, "c1-1") == ["running"]


def test_a_job_whose_holder_redis_forgets_again_and_again_runs_at_its_client(bench: Bench) -> None:
    """It would begin again each time, and never come to its end."""
    bench.worker()
    bench.submit("c1-1")
    for _ in range(policy.LOSS_CAP - 1):
        bench.claim()
        bench.redis("DEL", bench.keys.named("held", "w1"))
        assert nudge(bench, "c1-1") == ["queued"]
    bench.claim()
    bench.redis("DEL", bench.keys.named("held", "w1"))
    (word,) = nudge(bench, "c1-1")
    assert isinstance(word, Reply)
    assert (word.state, word.why, word.attempts) == ("failed", "lost", policy.LOSS_CAP)
    assert bench.replies() == [word]


def test_what_stands_among_the_running_and_no_one_holds_is_swept(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    first, second = bench.claim(2)
    bench.redis("HDEL", bench.keys.named("held", "w1"), f"fib:c1-1:{first.held.fence}")
    bench.redis("HSET", bench.keys.named("current", "fib"), "c9-9:17", "w9 0 1 1700000000000", "odd", "")
    bench.submit("c1-3")
    bench.advance(6)
    bench.broker.beat("w1", f"{RUN_ID}:100", [second.held])
    nudge(bench, "c1-3")
    assert list(bench.hash(bench.keys.named("current", "fib"))) == [f"c1-2:{second.held.fence}"]
    assert bench.queue() == ["c1-1", "c1-3"], "and what was a job of ours goes back to the head"


def test_what_a_client_computes_for_want_of_a_worker_stands_in_redis_until_it_takes_it_back(bench: Bench) -> None:
    text = client_demand.text_of({"fib": AtClient(3, 1.5, 250.0), "gcd": AtClient(1)})
    bench.broker.nudge("c1", CONNECTION, [], demand=text)
    row = bench.hash(bench.keys.demand)["c1"]
    assert client_demand.read(row) == (bench.now_ms, {"fib": AtClient(3, 1.5, 250.0), "gcd": AtClient(1)})
    assert sorted(bench.redis("SMEMBERS", bench.keys.functions)) == [b"fib", b"gcd"], "they are known by it"
    assert 0 < bench.redis("PTTL", bench.keys.demand) <= policy.TIMINGS.control_ttl_seconds * 1000
    nudge(bench)
    assert bench.hash(bench.keys.demand) == {"c1": row}, "a nudge that says nothing of it leaves it"
    bench.broker.nudge("c1", CONNECTION, [], demand=client_demand.NOTHING)
    assert bench.hash(bench.keys.demand) == {}


def test_the_demand_of_a_client_goes_with_it(bench: Bench) -> None:
    text = client_demand.text_of({"fib": AtClient(3)})
    for client in ("c1", "c2", "c3"):
        bench.broker.nudge(client, CONNECTION, [], demand=text)
    bench.broker.leave("c1", final=True)
    assert {*bench.hash(bench.keys.demand)} == {"c2", "c3"}
    bench.reap(clients=[("c2", CONNECTION)])
    bench.advance(1.1)
    bench.reap()
    assert {*bench.hash(bench.keys.demand)} == {"c3"}
    bench.advance(policy.TIMINGS.silent_client_seconds)
    bench.reap(clients=[("c3", "")])
    assert bench.hash(bench.keys.demand) == {}
