"""What single submits that gathered are sent as: whatever their number, no call is lost and none is a bundle of one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from simpledist import policy, wire
from simpledist.client.bundle import bundled
from simpledist.client.call import Call
from simpledist.client.future import Future
from simpledist.client.outcomes import Outcomes
from simpledist.client.session import Session
from simpledist.config import Config
from simpledist.wire.signing import Keyring


def gathered(outcomes: Outcomes, lengths: list[int]) -> list[Future[Any]]:
    """Calls of one function in flight, with bodies of these lengths."""
    futures: list[Future[Any]] = []
    for length in lengths:
        call = Call(
            id=outcomes.session.new_id(),
            function="f",
            local=len,
            args=(),
            kwargs={},
            codec="pickle",
            fingerprint="",
            body=b"." * length,
            began=0.0,
            deadline=None,
            max_queue=None,
        )
        futures.append(Future(call, outcomes, caller_runs=False))
        outcomes.in_flight[call.id] = futures[-1]
    return futures


@given(
    lengths=st.lists(st.sampled_from((1, 10, 3000, policy.BUNDLE_CALL_BYTES + 1)), max_size=100)
    | st.integers(0, 500).map(lambda count: [10] * count),
    calls=st.integers(0, 1000),
)
def test_each_call_travels_once_and_what_is_sealed_as_a_chunk_is_one(lengths: list[int], calls: int) -> None:
    outcomes = Outcomes(Session(Config(url="redis://127.0.0.1:1"), Keyring()), Keyring(), 1)
    outcomes.experience["f"] = policy.Experience().ran(calls, calls * 1e-6)
    futures = gathered(outcomes, lengths)
    bodies: list[bytes] = []
    for unit in bundled(outcomes, futures) if futures else []:
        opened = wire.open_call("f", outcomes.sealed(unit), Keyring(), 0)
        assert opened.chunk == (unit.call.bundle is not None)
        bodies += map(bytes, wire.split_calls("pickle", opened.body) if opened.chunk else [opened.body])
        assert outcomes.in_flight[unit.call.id] is unit
    assert sorted(bodies) == sorted(bytes(future.call.body) for future in futures)
    assert sum(future.call.calls for future in outcomes.in_flight.values()) == len(futures)


def test_a_call_that_was_cancelled_in_this_moment_spoils_no_chunk() -> None:
    outcomes = Outcomes(Session(Config(url="redis://127.0.0.1:1"), Keyring()), Keyring(), 1)
    outcomes.experience["f"] = policy.Experience().ran(1000, 1e-3)
    futures = gathered(outcomes, [10] * 60)
    for future in futures[::2]:
        future.cancel()
    chunks = [unit for unit in bundled(outcomes, futures) if unit.call.bundle is not None]
    assert sum(unit.call.calls for unit in chunks) == 30
    for unit in chunks:
        opened = wire.open_call("f", outcomes.sealed(unit), Keyring(), 0)
        assert all(bytes(body) == b"." * 10 for body in map(bytes, wire.split_calls("pickle", opened.body)))
