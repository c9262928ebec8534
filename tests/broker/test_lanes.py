"""Lanes and `live`: who may have a call, where it waits, and what becomes of a job that a worker refuses."""

from __future__ import annotations

import json

import pytest

from simpledist import policy
from simpledist.broker.records import NO_DIGEST, Claimed, Ended, Failed, Traits, Wish
from tests.broker.bench import RUN_ID, Bench

A, B = "a" * 16, "b" * 16
KEY = "1f2e3d4c"


def worker(bench: Bench, id: str, digest: str = "", traits: Traits | None = None) -> list[str]:
    """Register a worker of fib; the lanes that it hears of."""
    row = {"functions": ["fib"], "connection": f"{RUN_ID}:{id}"}
    beaten = bench.broker.beat(id, f"{RUN_ID}:{id}", [], row, {"fib": digest}, traits=traits or Traits())
    return sorted(beaten.lanes)


def submit(bench: Bench, id: str, lane: str = "fib", wish: Wish | None = None) -> str:
    (word,) = bench.broker.submit(lane, "c1", "run1:200", [(id, b"call")], wish=wish or Wish()).words
    return str(word)


def claim(bench: Bench, id: str, lane: str = "fib") -> list[Claimed]:
    return bench.broker.claim(id, bench.nonce(), lane, [], [0])


def refuse(bench: Bench, id: str, claimed: Claimed) -> str:
    (word,) = bench.broker.fail(id, [Failed(claimed.held, "undecodable", "No module named x", refused=True)])
    return word


def words_to(bench: Bench, id: str) -> list[bytes]:
    return bench.redis("LRANGE", bench.keys.control(id), 0, -1)


def test_the_first_code_has_the_plain_lane_and_others_one_of_their_own(bench: Bench) -> None:
    assert worker(bench, "w1", A) == ["fib"]
    assert worker(bench, "w2", B) == [f"fib~{B[:12]}"]
    assert worker(bench, "w3", A) == ["fib"]
    assert worker(bench, "w4") == [f"fib~{policy.PROTOCOL:012x}"], "a name without a code is a code of its own"


def test_the_plain_lane_is_given_anew_when_nothing_hangs_on_it(bench: Bench) -> None:
    worker(bench, "w1", A)
    assert submit(bench, "c1-1", wish=Wish(digest=A)) == "queued"
    bench.broker.leave("w1", final=True)
    assert worker(bench, "w2", B) == [f"fib~{B[:12]}"], "a job waits"
    bench.broker.leave("w2", final=True)
    bench.broker.cancel("c1", [("fib", "c1-1")])
    assert worker(bench, "w2", B) == ["fib"]


def test_a_code_leaves_its_lane_for_the_plain_one_when_no_job_is_on_it(bench: Bench) -> None:
    beside = f"fib~{B[:12]}"
    worker(bench, "w1", A)
    assert worker(bench, "w2", B) == worker(bench, "w3", B) == [beside]
    assert submit(bench, "c1-1", beside, Wish(digest=B)) == "queued"
    assert submit(bench, "c1-2", f"{beside}!high", Wish(digest=B)) == "queued"
    bench.broker.leave("w1", final=True)
    assert worker(bench, "w2", B) == [beside, f"{beside}!high"], "jobs wait, and never leave their lane"
    bench.broker.cancel("c1", [(beside, "c1-1")])
    (claimed,) = claim(bench, "w3", f"{beside}!high")
    assert beside in worker(bench, "w2", B), "a job runs"
    bench.succeed(claimed)
    assert worker(bench, "w2", B) == ["fib"]
    assert words_to(bench, "w3")[-1] == b"look", "the others of its code take the plain lane, too"
    assert submit(bench, "c1-3", beside, Wish(digest=B)) == "moved fib"
    assert submit(bench, "c1-3", wish=Wish(digest=B)) == "queued"
    assert worker(bench, "w3", B) == ["fib"]
    assert worker(bench, "w1", A) == [f"fib~{A[:12]}"]


def test_a_call_with_a_code_is_sent_to_its_lane_or_home(bench: Bench) -> None:
    worker(bench, "w1", A)
    worker(bench, "w2", B)
    assert submit(bench, "c1-1", wish=Wish(digest=B)) == f"moved fib~{B[:12]}"
    assert bench.state("c1-1") is None, "nothing is entered"
    assert submit(bench, "c1-1", f"fib~{B[:12]}", Wish(digest=B)) == "queued"
    assert claim(bench, "w1") == []
    (claimed,) = claim(bench, "w2", f"fib~{B[:12]}")
    assert (claimed.held.lane, claimed.held.function) == (f"fib~{B[:12]}", "fib")
    bench.broker.leave("w2", final=False)
    assert submit(bench, "c1-2", f"fib~{B[:12]}", Wish(digest=B)) == "other_code w1"
    assert submit(bench, "c1-3") == "queued", "by name it takes the plain lane"


def test_a_call_by_name_takes_a_live_lane_where_the_plain_one_has_no_one(bench: Bench) -> None:
    worker(bench, "w1", A)
    worker(bench, "w2", B)
    bench.broker.leave("w1", final=True)
    assert submit(bench, "c1-1") == f"moved fib~{B[:12]}"
    assert submit(bench, "c1-1", "fib!high") == f"moved fib~{B[:12]}!high"


@pytest.mark.parametrize(
    ("traits", "wish", "answer"),
    [
        (Traits(keys=(KEY,)), Wish(), f"key {KEY}"),
        (Traits(), Wish(key=KEY), "key 00000000"),
        (Traits(keys=("00000001", KEY)), Wish(key=KEY), "queued"),
        (Traits(protocol=9), Wish(), "no_worker protocol 9"),
        (Traits(python="3.12"), Wish(python="3.11"), "no_worker"),
        (Traits(python="3.11"), Wish(python="3.11"), "queued"),
        (Traits(lifetime_ms=1), Wish(), "queued"),
    ],
)
def test_who_may_have_a_call(bench: Bench, traits: Traits, wish: Wish, answer: str) -> None:
    worker(bench, "w1", traits=traits)
    assert submit(bench, "c1-1", wish=wish) == answer
    assert bench.broker.nudge("c1", "run1:200", [], [("fib", wish)]).live[0].replace("ok", "queued") == answer


def test_of_many_workers_all_are_asked_but_a_no_holds_for_a_second(bench: Bench) -> None:
    key, other = "1" * 8, "2" * 8
    for number in range(policy.OFFERS_ASKED + 1):
        worker(bench, f"w{number}", traits=Traits(keys=(key,)))
    assert submit(bench, "c1-1", wish=Wish(key=other)) == f"key {key}"
    assert submit(bench, "c1-2", wish=Wish(key=key)) == "queued", "the no is for the other wish"
    worker(bench, "new", traits=Traits(keys=(other,)))
    assert submit(bench, "c1-3", wish=Wish(key=other)) == f"key {key}"
    bench.advance(policy.UNMET_MS / 1000)
    assert submit(bench, "c1-4", wish=Wish(key=other)) == "queued"
    bench.broker.leave("new", final=True)
    assert submit(bench, "c1-5", wish=Wish(key=other)) == f"key {key}"


def test_an_offer_that_ends_counts_no_more(bench: Bench) -> None:
    worker(bench, "w1", traits=Traits(lifetime_ms=1000))
    bench.advance(1.0)
    assert submit(bench, "c1-1") == "no_worker"


def test_builds_with_other_numbers_share_no_lane_and_hear_of_each_other(bench: Bench) -> None:
    worker(bench, "w1")
    other = Traits(protocol=9)
    assert worker(bench, "w2", traits=other) == ["fib~000000000009"]
    assert submit(bench, "c1-1", wish=Wish(protocol=9)) == "moved fib~000000000009"
    bench.broker.leave("w2", final=True)
    assert submit(bench, "c1-1", wish=Wish(protocol=9)) == f"no_worker protocol {policy.PROTOCOL}"
    submit(bench, "c1-2", wish=Wish(protocol=9))
    assert words_to(bench, "w1") == [b"protocol 9"], "once a minute"


def test_a_disabled_function_gets_no_jobs(bench: Bench) -> None:
    worker(bench, "w1")
    bench.redis("HSET", bench.keys.named("meta", "fib"), "disabled", "1")
    assert submit(bench, "c1-1") == "disabled"


def test_workers_hear_of_a_lane_with_a_priority_and_take_it_along(bench: Bench) -> None:
    assert worker(bench, "w1") == ["fib"]
    assert submit(bench, "c1-1", "fib!high") == "queued"
    assert words_to(bench, "w1") == [b"look"]
    submit(bench, "c1-2", "fib!high")
    assert words_to(bench, "w1") == [b"look"], "once"
    assert worker(bench, "w1") == ["fib", "fib!high"]
    bench.redis("DEL", bench.keys.named("lanes", "fib"))
    submit(bench, "c1-3", "fib!high")
    assert worker(bench, "w1") == ["fib", "fib!high"], "what Redis lost is made anew"


def test_tags_are_met_by_workers_that_have_all_of_them(bench: Bench) -> None:
    worker(bench, "w1", traits=Traits(tags=("gpu",)))
    assert submit(bench, "c1-1", "fib+big+gpu") == "no_worker"
    assert submit(bench, "c1-1", "fib+gpu") == "queued"
    assert worker(bench, "w1", traits=Traits(tags=("gpu",))) == ["fib", "fib+gpu"]
    assert worker(bench, "w2") == ["fib"]


def test_of_many_workers_the_one_with_the_tag_hears_of_its_lane_and_no_other(bench: Bench) -> None:
    for number in range(200):
        worker(bench, f"w{number}", traits=Traits(tags=("gpu",) if number == 117 else ()))
    assert submit(bench, "c1-1", "fib+gpu") == "queued"
    assert [number for number in range(200) if words_to(bench, f"w{number}")] == [117]
    assert worker(bench, "w117", traits=Traits(tags=("gpu",))) == ["fib", "fib+gpu"]
    assert [one.held.lane for one in claim(bench, "w117", "fib+gpu")] == ["fib+gpu"]


def test_a_call_that_found_no_tag_is_counted_for_its_function_and_leaves_the_tags(bench: Bench) -> None:
    worker(bench, "w1")
    bench.broker.ack("c1", [], {("fib+big+gpu", "no_worker"): 3})
    meta = bench.hash(bench.keys.named("meta", "fib"))
    assert meta["local:no_worker"] == "3"
    assert meta["wanted_tags"].endswith(" +big+gpu")
    assert "wanted" not in meta
    assert bench.redis("SMEMBERS", bench.keys.functions) == [b"fib"]


def test_a_job_that_took_too_much_memory_goes_to_another_worker_and_gives_no_strike(bench: Bench) -> None:
    def stop(id: str, claimed: Claimed) -> list[str]:
        return bench.broker.fail(id, [Failed(claimed.held, "memory", "it used too much", refused=True)])

    worker(bench, "w1")
    worker(bench, "w2")
    submit(bench, "c1-1")
    (claimed,) = claim(bench, "w1")
    assert stop("w1", claimed) == ["requeued"]
    (claimed,) = claim(bench, "w2")
    bench.succeed(claimed, worker="w2")
    assert words_to(bench, "w1") == [b"pass fib"], "and no strike"
    bench.advance(2.0)
    submit(bench, "c1-2")
    (claimed,) = claim(bench, "w2")
    assert stop("w2", claimed) == ["requeued"]
    bench.advance(2.0)
    (claimed,) = claim(bench, "w1")
    assert stop("w1", claimed) == ["failed"], "two workers are enough"
    assert bench.job("c1-2")["why"] == "memory"


def test_a_refused_job_goes_to_another_worker_and_the_refuser_passes(bench: Bench) -> None:
    worker(bench, "w1")
    worker(bench, "w2")
    submit(bench, "c1-1")
    (claimed,) = claim(bench, "w1")
    assert refuse(bench, "w1", claimed) == "requeued"
    assert words_to(bench, "w1") == [b"pass fib"]
    bench.advance(2.0)
    assert claim(bench, "w1") == [], "not the same one again"
    assert bench.queue() == bench.ledger() == ["c1-1"], "it waits for the other"
    (again,) = claim(bench, "w2")
    words, _ = bench.broker.complete("w2", bench.nonce(), [Ended(again.held, "value", b"value", 1)])
    assert words == ["succeeded"]
    assert words_to(bench, "w1")[-1] == b"strike fib"
    assert words_to(bench, "w2") == []


def test_two_refusals_end_a_job_and_no_one_is_struck(bench: Bench) -> None:
    for id in ("w1", "w2", "w3"):
        worker(bench, id)
    submit(bench, "c1-1")
    assert refuse(bench, "w1", claim(bench, "w1")[0]) == "requeued"
    assert refuse(bench, "w2", claim(bench, "w2")[0]) == "failed"
    assert [reply.why for reply in bench.replies()] == ["undecodable"]
    assert b"strike fib" not in [*words_to(bench, "w1"), *words_to(bench, "w2")]


def test_who_is_alone_or_left_alone_by_others_that_pass_ends_a_job_at_once(bench: Bench) -> None:
    worker(bench, "w1")
    submit(bench, "c1-1")
    assert refuse(bench, "w1", claim(bench, "w1")[0]) == "failed"
    worker(bench, "w2")
    submit(bench, "c1-2")
    submit(bench, "c1-3")
    assert refuse(bench, "w1", claim(bench, "w1")[0]) == "requeued"
    assert refuse(bench, "w2", claim(bench, "w2")[0]) == "failed"
    assert words_to(bench, "w2") == [], "one of them goes on"


def test_an_ended_job_whose_result_is_lost_is_gone(bench: Bench) -> None:
    worker(bench, "w1")
    submit(bench, "c1-1")
    bench.succeed(claim(bench, "w1")[0])
    assert bench.broker.cancel("c1", [("fib", "c1-1")]) == ["ended"]
    bench.redis("DEL", bench.keys.named("result", "c1-1"))
    assert bench.broker.cancel("c1", [("fib", "c1-1")]) == ["gone"]


# --- other code, and other functions ---------------------------------------------------------------------------------


def offer(bench: Bench, id: str, digest: str, place: str) -> list[str]:
    """Register a worker of fib whose code has a place."""
    row = {"functions": ["fib"], "connection": f"{RUN_ID}:{id}"}
    beaten = bench.broker.beat(id, f"{RUN_ID}:{id}", [], row, {"fib": digest}, places={"fib": place})
    return sorted(beaten.lanes)


def test_code_of_the_same_place_is_stale_and_that_of_another_place_serves_by_name(bench: Bench) -> None:
    offer(bench, "w1", A, "fns.fib")
    assert submit(bench, "c1-1", wish=Wish(digest=B, place="fns.fib")) == "other_code w1"
    assert submit(bench, "c1-1", wish=Wish(digest=B, place="stub.fib")) == f"named fib {A} fns.fib w1"
    assert submit(bench, "c1-1", wish=Wish(digest=B)) == "other_code w1", "without a place nothing else will do"
    assert submit(bench, "c1-1", wish=Wish(digest=B, place="*")) == f"named fib {A} fns.fib w1", "anything will do"
    assert bench.state("c1-1") is None, "nothing is entered"
    assert submit(bench, "c1-1", wish=Wish(digest=A)) == "queued"


def test_stale_code_is_nearer_than_another_function_and_the_own_code_nearest(bench: Bench) -> None:
    mine = Wish(digest="c" * 16, place="fns.fib")
    offer(bench, "w1", A, "other.fib")
    assert submit(bench, "c1-1", wish=mine) == f"named fib {A} other.fib w1"
    offer(bench, "w2", B, "fns.fib")
    assert submit(bench, "c1-1", wish=mine) == "other_code w2"
    lanes = offer(bench, "w3", mine.digest, "fns.fib")
    assert submit(bench, "c1-1", wish=mine) == f"moved {lanes[0]}"


def test_a_function_without_a_digest_serves_by_name_wherever_it_is(bench: Bench) -> None:
    offer(bench, "w1", "", "fns.fib")
    assert submit(bench, "c1-1", wish=Wish(digest=A, place="fns.fib")) == "named fib - fns.fib w1"
    assert submit(bench, "c1-1", wish=Wish(digest=A)) == "other_code w1"
    assert submit(bench, "c1-1", wish=Wish(digest=NO_DIGEST)) == "queued"
    bench.broker.leave("w1", final=True)
    offer(bench, "w2", A, "")
    assert submit(bench, "c1-2", wish=Wish(digest=NO_DIGEST)) == "other_code w2"
    assert submit(bench, "c1-2", wish=Wish(digest=B, place="m.f")) == f"named {lane_of(bench, 'w2')} {A} - w2"


def lane_of(bench: Bench, id: str) -> str:
    text = bench.redis("HGET", bench.keys.named("offers", "fib"), id).decode()
    return json.loads(text)["lane"]


def test_of_several_other_functions_that_of_the_plain_lane_is_named(bench: Bench) -> None:
    offer(bench, "w1", A, "one.f")
    for number in range(5):
        offer(bench, f"v{number}", f"{number}" * 16, f"m{number}.f")
    assert submit(bench, "c1-1", wish=Wish(digest=B, place="stub.f")) == f"named fib {A} one.f w1"
    word = submit(bench, "c1-1", "fib!high", Wish(digest=B, place="stub.f"))
    assert word == f"named fib!high {A} one.f w1", "with the priority of the call"


def test_workers_with_stale_code_hear_of_clients_once_a_minute(bench: Bench) -> None:
    offer(bench, "w1", A, "fns.fib")
    offer(bench, "w2", "", "fns.fib")
    for _ in range(2):
        submit(bench, "c1-1", wish=Wish(digest=B, place="fns.fib"))
    assert words_to(bench, "w1") == [b"other_code fib"]
    assert words_to(bench, "w2") == [], "it goes by name"


def test_other_code_is_no_fault_of_its_worker(bench: Bench) -> None:
    worker(bench, "w1")
    worker(bench, "w2")
    submit(bench, "c1-1")
    (claimed,) = claim(bench, "w1")
    failed = Failed(claimed.held, "other_code", "other code than its caller asked for", refused=True)
    assert bench.broker.fail("w1", [failed]) == ["requeued"]
    bench.advance(2.0)
    (again,) = claim(bench, "w2")
    bench.broker.complete("w2", bench.nonce(), [Ended(again.held, "value", b"value", 1)])
    assert words_to(bench, "w1") == [b"pass fib"], "no strike"
