"""What single submits that gathered are sent as: whatever their number, no call is lost and none is a batch of one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from simpledist import policy, wire
from simpledist.config import Config
from simpledist.engine.batch import batched
from simpledist.engine.call import Call
from simpledist.engine.calls import Calls
from simpledist.engine.future import Future
from simpledist.engine.session import Session
from simpledist.engine.shared_objects import SharedObjects
from simpledist.engine.spec import FunctionSpec
from simpledist.wire.keyring import Keyring

SPEC = FunctionSpec("f", len)


def client(seen: policy.Experience) -> Calls:
    """Return the calls of a client that has seen runs of the function."""
    calls = Calls(Session(Config(url="redis://127.0.0.1:1"), Keyring(), SharedObjects(kept=True)), Keyring(), 1, 1000)
    calls.store.of(SPEC.code.key).on_workers = seen
    return calls


def gathered(calls: Calls, lengths: list[int]) -> list[Future[Any]]:
    """Return calls of one function in flight, with bodies of these lengths."""
    futures: list[Future[Any]] = []
    for length in lengths:
        call = Call(
            id=calls.session.new_id(),
            spec=SPEC,
            args=(),
            kwargs={},
            codec="pickle",
            body=b"." * length,
            began=0.0,
            deadline=None,
        )
        futures.append(Future(call, calls, caller_runs=False))
        calls.flight.enter(futures[-1])
    return futures


def sent_as(calls: Calls, futures: list[Future[Any]]) -> list[Future[Any]]:
    """Return what these are sent as, once the batches among it are in flight."""
    units, batches = batched(futures, calls.store.of(SPEC.code.key), owner=calls, new_id=calls.session.new_id)
    for batch in batches:
        calls.flight.enter_batch(batch)
    return units


@given(
    lengths=st.lists(st.sampled_from((1, 10, 3000, policy.GATHERED_CALL_BYTES + 1)), max_size=100)
    | st.integers(0, 500).map(lambda count: [10] * count),
    count=st.integers(0, 1000),
)
def test_each_call_travels_once_and_what_is_sealed_as_a_batch_is_one(lengths: list[int], count: int) -> None:
    calls = client(policy.Experience().ran(count, count * 1e-6))
    futures = gathered(calls, lengths)
    bodies: list[bytes] = []
    for unit in sent_as(calls, futures) if futures else []:
        opened = wire.open_call("f", calls.envelopes.seal(unit.call), Keyring(), 0)
        assert opened.batch == (calls.flight.batch_of(unit) is not None)
        bodies += map(bytes, wire.split_calls("pickle", opened.body) if opened.batch else [opened.body])
        assert calls.flight.stands(unit)
    assert sorted(bodies) == sorted(bytes(future.call.body) for future in futures)
    assert sum(future.call.calls for future in calls.flight.all()) == len(futures)


def test_a_call_that_was_cancelled_in_this_moment_spoils_no_batch() -> None:
    calls = client(policy.Experience().ran(1000, 1e-3))
    futures = gathered(calls, [10] * 60)
    for future in futures[::2]:
        future.cancel()
    batches = [unit for unit in sent_as(calls, futures) if calls.flight.batch_of(unit) is not None]
    assert sum(unit.call.calls for unit in batches) == 30
    for unit in batches:
        opened = wire.open_call("f", calls.envelopes.seal(unit.call), Keyring(), 0)
        assert all(bytes(body) == b"." * 10 for body in map(bytes, wire.split_calls("pickle", opened.body)))
