"""claim: popped elements become running jobs; none is lost or doubled, also if a claim is sent again."""

from __future__ import annotations

import pytest

from simpledist.broker.records import Ended, Held, Take
from simpledist.policy import ATTEMPT_CAP, BATCH_BYTES
from tests.broker.bench import Bench


@pytest.fixture(autouse=True)
def two_jobs(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")


def test_a_popped_element_becomes_a_running_job(bench: Bench) -> None:
    element = bench.pop()
    bench.advance(0.5)
    (claimed,) = bench.broker.claim("w1", "n", "fib", [element], [3])
    assert (claimed.held.function, claimed.held.id, claimed.slot) == ("fib", "c1-1", 3)
    assert (claimed.attempt, claimed.queued_ms, claimed.call) == (1, 500, b"c1-1")
    job = bench.job("c1-1")
    assert (job["state"], job["worker"], job["fence"]) == ("running", "w1", claimed.held.fence)
    field = f"c1-1:{claimed.held.fence}"
    assert bench.hash(bench.keys.named("current", "fib")) == {field: f"w1 3 1 {bench.now_ms}"}
    assert bench.hash(bench.keys.named("held", "w1")) == {f"fib:{field}": f"{bench.now_ms} n"}
    assert bench.ledger() == ["c1-2"]


def test_free_slots_are_filled_from_the_same_list_in_order(bench: Bench) -> None:
    claimed = bench.broker.claim("w1", "n", "fib", [bench.pop()], [0, 1, 2])
    assert [(one.held.id, one.slot) for one in claimed] == [("c1-1", 0), ("c1-2", 1)]
    assert bench.queue() == bench.ledger() == []


def test_an_element_is_worth_nothing_the_second_time(bench: Bench) -> None:
    element = bench.pop()
    bench.broker.claim("w1", "n1", "fib", [element], [0])
    assert bench.broker.claim("w1", "n2", "fib", [element, b"foreign", b"17.c1-1"], []) == []
    (other,) = bench.broker.claim("w1", "n3", "fib", [element, b"foreign", b"17.c1-1"], [0])
    assert other.held.id == "c1-2"


def test_an_element_popped_before_its_job_was_pushed_back_is_worth_nothing(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    late = bench.pop()
    for _ in range(2):
        bench.reap()
        bench.advance(1)
    assert bench.queue() == bench.ledger() == ["c1-1", "c1-2"]
    (claimed,) = bench.broker.claim("w1", bench.nonce(), "fib", [late], [0])
    assert claimed.held.id == "c1-1"
    assert bench.queue() == bench.ledger() == ["c1-2"], "claimed by its true element, not beside it"


def test_sent_again_it_gives_the_same_jobs_and_no_more(bench: Bench) -> None:
    first = bench.broker.claim("w1", "n", "fib", [bench.pop()], [0])
    assert bench.broker.claim("w1", "n", "fib", [], [0], again=True) == first
    assert bench.ledger() == ["c1-2"]


def test_sent_again_it_gives_only_what_is_still_held(bench: Bench) -> None:
    first, second = bench.claim(2)
    nonce = bench.hash(bench.keys.named("held", "w1"))[first.held.field].partition(" ")[2]
    bench.succeed(first)
    assert bench.broker.claim("w1", nonce, "fib", [], [0, 1], again=True) == [second]


def test_if_the_first_sending_never_arrived_the_second_claims(bench: Bench) -> None:
    element = bench.pop()
    (claimed,) = bench.broker.claim("w1", "n", "fib", [element], [0], again=True)
    assert claimed.held.id == "c1-1"


def test_a_worker_without_a_living_row_gets_nothing_and_what_it_popped_goes_back(bench: Bench) -> None:
    element = bench.pop()
    assert bench.broker.claim("stranger", "n", "fib", [element, b"nothing", b"5.c1-2"], [0]) == []
    assert bench.queue() == ["c1-1", "c1-2"]
    bench.advance(11)
    bench.reap(workers=[("w1", "")])
    assert bench.broker.claim("w1", "n", "fib", [bench.pop()], [0]) == []
    assert bench.ledger() == bench.queue() == ["c1-1", "c1-2"], "nothing is lost by that"


def test_what_goes_back_stands_once_and_in_its_place_however_often_it_is_brought(bench: Bench) -> None:
    popped = [bench.pop(), bench.pop()]
    bench.submit("c1-3")
    for again in (False, True, True):
        assert bench.broker.claim("w9", "n", "fib", popped, [0], again=again) == []
        assert bench.queue() == bench.ledger() == ["c1-1", "c1-2", "c1-3"]


def test_a_job_whose_client_is_dead_is_dropped(bench: Bench) -> None:
    bench.submit("c2-1", client="c2")
    bench.advance(59)
    bench.worker()
    bench.broker.nudge("c2", "run1:201", [])
    bench.advance(1)
    assert [one.held.id for one in bench.claim(3)] == ["c2-1"]
    assert not bench.exists("job", "c1-1")
    assert not bench.exists("call", "c1-1")


def test_a_job_whose_bytes_are_gone_is_dropped(bench: Bench) -> None:
    bench.redis("DEL", bench.keys.named("call", "c1-1"))
    assert [one.held.id for one in bench.claim(2)] == ["c1-2"]
    assert bench.state("c1-1") is None


def test_calls_over_a_megabyte_end_the_batch(bench: Bench) -> None:
    bench.broker.cancel("c1", [("fib", "c1-1"), ("fib", "c1-2")])
    call = b"x" * 60_000
    ids = [f"c1-{n}" for n in range(30)]
    for id in ids:
        bench.broker.submit("fib", "c1", "-", [(id, call)])
    claimed = bench.claim(30)
    assert BATCH_BYTES / len(call) - 1 < len(claimed) < BATCH_BYTES / len(call) + 2
    assert [one.held.id for one in claimed] == ids[: len(claimed)]
    assert bench.ledger() == ids[len(claimed) :]


def test_the_eleventh_claim_without_an_outcome_ends_the_job_as_lost(bench: Bench) -> None:
    for attempt in range(1, ATTEMPT_CAP + 1):
        claimed = bench.claim()[0]
        assert (claimed.held.id, claimed.attempt) == ("c1-1", attempt)
        bench.broker.release("w1", [claimed.held])
        bench.redis("HSET", bench.keys.named("job", "c1-1"), "attempts", attempt)  # as if a way back had counted it
    assert [one.held.id for one in bench.claim(2)] == ["c1-2"]
    assert (bench.state("c1-1"), bench.job("c1-1")["why"]) == ("failed", "lost")
    assert [(reply.id, reply.why) for reply in bench.replies()] == [("c1-1", "lost")]


def test_fences_rise_with_every_claim(bench: Bench) -> None:
    fences: list[str] = []
    for _ in range(3):
        (claimed,) = bench.claim()
        fences.append(claimed.held.fence)
        bench.broker.release("w1", [Held(*claimed.held)])
    assert fences == sorted(set(fences))


# --- one ahead for a busy slot ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queued", "workers", "claimed"), [(2, 1, 0), (3, 1, 1), (4, 1, 2), (9, 1, 2), (4, 2, 0), (5, 2, 1)]
)
def test_busy_slots_get_what_all_free_ones_could_not_begin(
    bench: Bench, queued: int, workers: int, claimed: int
) -> None:
    for number in range(2, workers + 1):
        bench.worker(f"w{number}")
    bench.submit(*(f"c1-{number}" for number in range(3, queued + 1)))
    got = bench.broker.claim("w1", "n", "fib", [], [4, 5], ahead=2)
    assert [one.slot for one in got] == [4, 5][:claimed]


def test_free_slots_come_first_and_busy_ones_last(bench: Bench) -> None:
    bench.submit(*(f"c1-{number}" for number in range(3, 9)))
    got = bench.broker.claim("w1", "n", "fib", [bench.pop()], [7, 1, 2, 3], ahead=2)
    assert [(one.held.id, one.slot) for one in got] == [("c1-1", 7), ("c1-2", 1), ("c1-3", 2), ("c1-4", 3)]


def test_a_worker_without_a_free_slot_is_not_left_idle(bench: Bench) -> None:
    one, two = bench.claim(2)
    take = Take("fib", (0, 1), ahead=2)
    assert bench.broker.complete("w1", "n", [Ended(one.held, "value", b"v", 1)], take)[1] == []
    bench.submit("c1-9")
    assert bench.ledger() == ["c1-9"], "no one waits for it with a free slot"
    bench.succeed(two)
