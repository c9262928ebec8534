"""What travels with its function: never without the archive that its modules need."""

from __future__ import annotations

import dataclasses

import pytest

from simpledist import shipped, wire
from simpledist.engine.call import Call, travelling
from simpledist.engine.known import Key, Store
from simpledist.engine.routing import TRAVEL, Later
from simpledist.engine.shared_objects import SharedObjects
from simpledist.engine.shipping import may_ship, with_archive
from simpledist.engine.spec import FunctionSpec
from tests.unit import odd_exceptions

STORE = Store()


def call_of(spec: FunctionSpec, *things: object) -> Call:
    body = wire.encode_arguments("pickle", things)
    return Call("c-1", spec, things, {}, "pickle", body, 0.0, None)


def test_a_call_names_the_archive_of_its_modules_and_stays_where_it_could_not() -> None:
    known, unknown = (FunctionSpec(shipped.FUNCTION, local, strict=True) for local in (shipped.run, len))
    assert known.code.work_out(known.local, STORE)
    assert unknown.code.work_out(unknown.local, STORE)
    assert not unknown.code.key.digest
    kept: list[tuple[Key, str]] = []

    def note(key: Key, reason: str) -> None:
        kept.append((key, reason))

    call = call_of(known, odd_exceptions.__name__)
    assert with_archive(call, TRAVEL, note) is TRAVEL
    assert call.archive is not None
    way = with_archive(call_of(unknown, odd_exceptions.__name__), TRAVEL, note)
    assert [(key.function, reason) for key, reason in kept] == [(shipped.FUNCTION, way.detail)]  # type: ignore[union-attr]
    assert way == Later("other_code", "the code of simpledist itself cannot be identified here: its source is missing")
    assert with_archive(call_of(unknown, "text"), TRAVEL, note) is TRAVEL, "it needs no module of ours"


@pytest.mark.parametrize("why", ["no_worker", "other_code", "timeout", "key", "crashed"])
def test_only_a_call_that_no_worker_serves_is_sent_with_its_function(why: str) -> None:
    spec = FunctionSpec("fib", len)
    call = call_of(spec, "text")
    assert may_ship(call, why) == (why in ("no_worker", "other_code"))  # type: ignore[arg-type]
    assert not may_ship(call_of(dataclasses.replace(spec, ships=False), "text"), why)  # type: ignore[arg-type]
    assert may_ship(dataclasses.replace(call, calls=2), why) == may_ship(call, why)  # type: ignore[arg-type]
    assert not may_ship(dataclasses.replace(call, origin=call), why)  # type: ignore[arg-type]
    assert not may_ship(call_of(FunctionSpec(shipped.FUNCTION, len), "text"), why)  # type: ignore[arg-type]


def test_a_batch_with_its_function_can_carry_its_shared_objects() -> None:
    """Redis has no room for them, or keeps losing them."""
    shared, big = SharedObjects(kept=True), {"a": 1}
    shared.share(big)
    body = wire.encode_calls("pickle", [(big, n) for n in range(3)], shared=shared)
    batch = Call("c-1", FunctionSpec("len", len), (), {}, "pickle", body, 0.0, None, calls=3)
    made = Call("c-2", FunctionSpec(shipped.FUNCTION, shipped.run), (), {}, "pickle", travelling(batch), 0.0, None)
    made.calls, made.origin = 3, batch
    assert made.blobs
    made.carry()
    assert not made.blobs
    assert len(wire.split_calls("pickle", made.body)) == 3
