"""Buffers that come again in calls of a client: which of them become blobs, and what bodies with them decode to."""

from __future__ import annotations

import gc
import pickle
import random
import secrets
import tracemalloc
from hashlib import sha256
from typing import Any

import numpy
import pytest

from simpledist import wire
from simpledist.buffers import Data, Pieces, blobs_of, parts_of
from simpledist.engine import repeated_buffers
from simpledist.engine.shared_objects import SharedObjects, name_of
from simpledist.errors import Undecodable, Unserialisable
from simpledist.wire import buffer_blobs
from simpledist.wire.buffer_blobs import LEAST_BYTES


@pytest.fixture
def of() -> SharedObjects:
    """What one client knows."""
    return SharedObjects(kept=True)


def body(of: SharedObjects, *args: Any, lend: bool = False) -> Data:
    return wire.encode_arguments("pickle", args, lend=lend, shared=of)


def decoded(data: Data) -> Any:
    """Reading uses up pieces."""
    return wire.decode_arguments("pickle", Pieces(data.parts, data.blobs) if isinstance(data, Pieces) else data)[0]


def names(data: Data) -> list[str]:
    return [blob.name for blob in blobs_of(data)]


def array(size: int = LEAST_BYTES) -> Any:
    return numpy.frombuffer(bytearray(secrets.token_bytes(size)), numpy.uint8)


# --- the second time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lend", [True, False])
def test_the_second_time_it_is_a_blob_named_by_its_content(of: SharedObjects, lend: bool) -> None:
    one, text = array(), secrets.token_bytes(LEAST_BYTES)
    first, second, third = (body(of, one, text, lend=lend) for _ in range(3))
    assert names(first) == []
    assert names(second) == names(third) == [name_of(bytes(one)), name_of(text)]
    assert len(second) < 1000
    assert {name_of(blob.encode()) for blob in blobs_of(second)} == set(names(second))
    assert decoded(second)[1] == text


def test_one_that_changes_in_place_is_sent_as_it_is_at_each_call(of: SharedObjects) -> None:
    one = array()
    kept: list[tuple[bytes, Data]] = []
    for number in range(30):
        one[number * 7 % len(one)] ^= 0xFF
        if number % 3:
            one[12_345] = number
        kept.append((bytes(one), body(of, one)))
    for then, data in kept:
        assert bytes(decoded(data)[0]) == then


def test_one_that_changes_a_little_with_each_call_stays_in_its_calls(of: SharedObjects) -> None:
    one = array()
    bodies: list[Data] = []
    for number in range(20):
        one[100 + number] ^= 0xFF
        bodies.append(body(of, one))
    assert [names(data) for data in bodies] == [[]] * 20


def test_some_that_look_the_same_become_blobs_in_turns(of: SharedObjects) -> None:
    one = array()
    other = one.copy()
    other[100] ^= 0xFF
    rounds = [[body(of, one), body(of, other)] for _ in range(3)]
    assert [names(data) for data in rounds[-1]] == [[name_of(bytes(one))], [name_of(bytes(other))]]


@pytest.mark.parametrize("lend", [True, False])
def test_a_content_is_named_once_for_all_its_calls(
    of: SharedObjects, monkeypatch: pytest.MonkeyPatch, lend: bool
) -> None:
    one, named = array(), list[int]()
    first = body(of, one, lend=lend)
    name = name_of(bytes(one))
    monkeypatch.setattr(repeated_buffers, "sha256", lambda view: named.append(len(view)) or sha256(view))  # type: ignore[func-returns-value]
    for _ in range(6):
        assert names(body(of, one, lend=lend)) == [name]
        gc.collect()
    assert named == [len(one)]
    del first


def test_without_xxhash_contents_are_compared_all_the_same(of: SharedObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(repeated_buffers, "import_module", none)
    repeated_buffers._hasher.cache_clear()  # pyright: ignore[reportPrivateUsage]
    try:
        one = array()
        bodies = [body(of, one) for _ in range(3)]
        one[12_345] ^= 0xFF
        changed = body(of, one)
    finally:
        repeated_buffers._hasher.cache_clear()  # pyright: ignore[reportPrivateUsage]
    assert len(names(bodies[1])) == 1
    assert names(bodies[1]) == names(bodies[2])
    assert names(changed) == []
    assert bytes(decoded(changed)[0]) == bytes(one)


def test_a_read_only_array_that_was_opened_again_and_changed_is_compared(of: SharedObjects) -> None:
    one = array()
    one.flags.writeable = False
    bodies = [body(of, one) for _ in range(2)]
    one.flags.writeable = True
    one[12_345] ^= 0xFF
    one.flags.writeable = False
    assert bytes(decoded(body(of, one))[0]) == bytes(one) != bytes(decoded(bodies[1])[0])


@pytest.mark.parametrize("size", [LEAST_BYTES, 5_000_000])  # a small copy and one in big pages
def test_calls_in_flight_hold_one_copy_together_and_none_after(of: SharedObjects, size: int) -> None:
    one = array(size)
    bodies = [body(of, one) for _ in range(5)]
    copies = {id(part.obj) for data in bodies for part in _big(data)}
    assert len(copies) == 1
    assert one.tobytes() == bytes(_big(bodies[0])[0])
    (known,) = of._buffers._known.values()  # pyright: ignore[reportPrivateUsage]
    assert known.held[0]() is not None
    bodies.clear()
    gc.collect()
    assert known.held[0]() is None


def _big(data: Data) -> list[memoryview]:
    parts = [*parts_of(data), *(part for blob in blobs_of(data) for part in parts_of(blob.encode()))]
    return [memoryview(part) for part in parts if len(part) >= LEAST_BYTES]


def test_bytes_and_arrays_of_bytes_are_not_copied(of: SharedObjects) -> None:
    text = secrets.token_bytes(LEAST_BYTES)
    for _ in range(3):
        (part,) = _big(body(of, numpy.frombuffer(text, numpy.uint8)))
        assert part.obj is text


def test_a_plain_calls_memory_is_used_by_no_other_call(of: SharedObjects) -> None:
    one = array()
    plain = [body(of, one, lend=True) for _ in range(3)]
    later = body(of, one)
    then = bytes(one)
    one[:] = 0
    assert bytes(decoded(later)[0]) == then
    del plain


def test_at_most_64_are_outside(of: SharedObjects) -> None:
    many = [array() for _ in range(66)]
    body(of, *many)
    data = body(of, *many)
    assert len(blobs_of(data)) == 64
    assert all((one == other).all() for one, other in zip(decoded(data), many, strict=True))


def test_shared_objects_and_buffers_stand_side_by_side(of: SharedObjects) -> None:
    rows, one = of_rows(of), array()
    body(of, one)
    data = body(of, rows, one, [rows, one])
    assert len(blobs_of(data)) == 2
    for again in (data, bytes(wire.carrying(data))):
        first, second, (third, fourth) = decoded(again)
        assert first == rows
        assert first is third
        assert second is fourth
        assert (second == one).all()


def of_rows(of: SharedObjects) -> list[int]:
    rows = [1] * 1000
    of.share(rows)
    return rows


def test_where_redis_has_no_room_it_stays_in_its_calls_for_a_while(
    of: SharedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = array()
    body(of, one)
    of.no_room(blobs_of(body(of, one))[0])
    assert names(body(of, one)) == []
    now = repeated_buffers.time.monotonic()
    monkeypatch.setattr(repeated_buffers.time, "monotonic", lambda: now + 61)
    assert len(names(body(of, one))) == 1


def test_what_is_small_is_not_looked_at(of: SharedObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedObjects, "repeated", pytest.fail)
    for _ in range(2):
        body(of, array(LEAST_BYTES - 1), b"x" * (LEAST_BYTES - 1), [1] * 1_000_000, "x" * 2 * LEAST_BYTES, 1)


def test_a_memory_url_has_no_blobs() -> None:
    one, of = array(), SharedObjects(kept=False)
    assert [names(body(of, one)) for _ in range(3)] == [[]] * 3


def test_calls_that_are_too_big_for_a_batch_are_not_copied_to_learn_that(of: SharedObjects) -> None:
    text = secrets.token_bytes(5 * LEAST_BYTES)
    tracemalloc.start()
    try:
        with pytest.raises(Unserialisable, match="too big for one batch"):
            wire.encode_calls("pickle", [([text], n) for n in range(9)], shared=of, most_bytes=len(text))
        assert tracemalloc.get_traced_memory()[1] < LEAST_BYTES
    finally:
        tracemalloc.stop()
    assert len(blobs_of(wire.encode_calls("pickle", [([text], n) for n in range(9)], shared=of))) == 1


# --- what a function gets --------------------------------------------------------------------------------------------


class Holder:
    """Reduces to a buffer of its own."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Holder, (pickle.PickleBuffer(self.buffer),)


def test_every_call_gets_the_same_types(of: SharedObjects) -> None:
    size = LEAST_BYTES // 8
    fixed = numpy.arange(size, 2.0 * size)
    fixed.flags.writeable = False
    fortran = numpy.asfortranarray(numpy.random.default_rng(1).random((100, size // 100)))
    values = [
        numpy.arange(float(size)),
        fixed,
        fortran,
        numpy.arange(2.0 * size)[::2],
        secrets.token_bytes(LEAST_BYTES),
        bytearray(secrets.token_bytes(LEAST_BYTES)),
        Holder(secrets.token_bytes(LEAST_BYTES)),
        Holder(bytearray(secrets.token_bytes(LEAST_BYTES))),
        "x" * LEAST_BYTES,
        lambda: size,
        b"\x95" * LEAST_BYTES,
    ]
    bodies = [body(of, *values) for _ in range(3)]
    assert [len(blobs_of(data)) for data in bodies] == [0, 8, 8]
    first = decoded(bodies[0])
    for data in (*bodies[1:], bytes(wire.carrying(bodies[1]))):
        for one, other in zip(decoded(data), first, strict=True):
            assert type(one) is type(other)
            if isinstance(one, numpy.ndarray):
                assert (one == other).all()
                assert one.flags.writeable == other.flags.writeable
                assert one.flags.f_contiguous == other.flags.f_contiguous
            elif isinstance(one, Holder):
                assert type(one.buffer) is type(other.buffer)
                assert one.buffer == other.buffer
            elif not callable(one):
                assert one == other


def test_who_writes_to_an_array_writes_to_his_own(of: SharedObjects) -> None:
    one = array()
    then = bytes(one)
    body(of, one)
    data = body(of, one, one.copy())
    first, second = decoded(data)
    first[:] = 0
    assert bytes(second) == bytes(decoded(data)[0]) == bytes(one) == then


def test_mixtures_of_any_order_come_back(of: SharedObjects) -> None:
    chance = random.Random(5)
    pool = [
        *(array(LEAST_BYTES + number) for number in range(3)),
        *(secrets.token_bytes(LEAST_BYTES + number) for number in range(3)),
        *(bytearray(secrets.token_bytes(LEAST_BYTES + number)) for number in range(2)),
        array(100_000),
        secrets.token_bytes(100_000),
        "x" * 100_000,
        [1] * 50_000,
        7,
        10**300_000,
    ]
    for _ in range(40):
        values = chance.choices(pool, k=chance.randint(1, 8))
        back = decoded(body(of, *values, lend=chance.random() < 0.5))
        assert [pickle.dumps(one) for one in back] == [pickle.dumps(one) for one in values]


# --- bodies that no client made --------------------------------------------------------------------------------------


def test_the_bytes_of_a_buffer_are_never_unpickled(of: SharedObjects) -> None:
    evil = pickle.dumps(pytest.fail) + bytes(LEAST_BYTES)
    body(of, evil)
    data = bytes(wire.carrying(body(of, evil)))
    assert decoded(data) == (evil,)
    batch = bytes(wire.carrying(wire.encode_calls("pickle", [([evil],), ([evil], 2)], shared=of)))
    assert [decoded(one) for one in wire.split_calls("pickle", batch)] == [([evil],), ([evil], 2)]  # type: ignore[arg-type]


def test_what_is_cut_short_or_names_nothing_is_no_call(of: SharedObjects) -> None:
    one = array()
    body(of, one)
    data = bytes(body(of, one, 5))
    for length in range(1, len(data)):
        with pytest.raises(Undecodable):
            decoded(data[:length])
    at = data.index(buffer_blobs.MARK, 35)
    for place in (2, 64, 255):
        with pytest.raises(Undecodable, match="it names no blob"):
            decoded(data[: at + 14] + bytes([place]) + data[at + 15 :])
