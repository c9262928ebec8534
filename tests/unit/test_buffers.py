"""Big values in pieces: nothing is joined, and what is read is let go."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist.buffers import Filling, Pieces, Reader
from simpledist.errors import Undecodable
from simpledist.wire import serializers

MEGABYTE = 1024 * 1024

parts = st.lists(st.binary(max_size=20), max_size=8)
places = st.tuples(st.integers(-5, 170), st.integers(-5, 170))


@given(parts, places)
def test_a_cut_is_what_a_slice_would_be(pieces: list[bytes], place: tuple[int, int]) -> None:
    start, stop = place
    whole = b"".join(pieces)
    assert bytes(Pieces(pieces).cut(start, stop)) == whole[max(start, 0) : max(stop, 0)]
    assert len(Pieces(pieces)) == len(whole)


@given(parts, st.lists(st.integers(0, 30), max_size=10))
def test_a_reader_reads_as_a_file_would(pieces: list[bytes], sizes: list[int]) -> None:
    whole, reader, at = b"".join(pieces), Reader(Pieces(pieces)), 0
    for size in sizes:
        assert reader.read(size) == whole[at : at + size]
        at += size
    assert reader.read() == whole[at:]
    assert reader.read() == b""


def test_a_reader_reads_lines() -> None:
    reader = Reader(Pieces([b"on", b"e\ntw", b"o"]))
    assert [reader.readline() for _ in range(3)] == [b"one\n", b"two", b""]


@given(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=5))
def test_a_filling_takes_what_arrives_and_no_more(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    filling = Filling(len(whole))
    for piece in pieces:
        assert filling.put(memoryview(piece)) == len(piece)
    assert filling.full
    assert filling.put(memoryview(b"more")) == 0
    assert bytes(filling.pieces()) == whole


VALUES: dict[str, Any] = {
    "bytes": b"x" * MEGABYTE,
    "text": "é" * MEGABYTE,
    "bytearray": bytearray(b"x" * MEGABYTE),
    "nested lists": [[float(i), [i, str(i)]] for i in range(50_000)],
    "bytes in lists": {"a": [b"y" * 100_000] * 3, "b": (b"z" * 200_000, 1)},
    "a lambda's closure": b"q" * MEGABYTE,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_big_value_comes_back_from_pieces_and_from_bytes(value: object) -> None:
    dumped = serializers.dump("pickle", (value,))
    assert isinstance(dumped, Pieces)
    joined = bytes(dumped)
    assert serializers.loads("pickle", dumped) == (value,)
    assert serializers.loads("pickle", joined) == (value,)


ARRAYS: dict[str, Any] = {
    "numbers": numpy.ones((100, 1000)),
    "in Fortran's order": numpy.asfortranarray(numpy.ones((100, 1000))),
    "not contiguous": numpy.arange(200_000.0)[::2],
    "objects": numpy.array(["a" * 1000] * 100, dtype=object),
}


@pytest.mark.parametrize("lend", [False, True])
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_comes_back_and_can_be_written_to(array: Any, lend: bool) -> None:
    for data in (serializers.dump("pickle", [array, 1], lend=lend), serializers.dumps("pickle", [array, 1])):
        back, one = serializers.loads("pickle", data)
        assert one == 1
        assert back.dtype == array.dtype
        assert (back == array).all()
        back[0] = 0


def test_an_array_that_cannot_be_written_to_comes_back_so() -> None:
    array = numpy.frombuffer(b"12345678" * 20_000, dtype="int64")
    back = serializers.loads("pickle", serializers.dump("pickle", array, lend=True))
    assert (back == array).all()
    assert not back.flags.writeable


def test_functions_with_big_closures_travel_by_value() -> None:
    data = b"x" * MEGABYTE
    function = serializers.loads("pickle", serializers.dump("pickle", lambda: data))
    assert function() == data


def test_reading_lets_go_of_what_is_read() -> None:
    value = b"".join(i.to_bytes(4, "big") for i in range(4 * MEGABYTE))
    dumped = bytes(serializers.dump("pickle", value))
    pieces = Pieces([dumped[at : at + MEGABYTE] for at in range(0, len(dumped), MEGABYTE)])
    del dumped
    tracemalloc.start()
    try:
        back = serializers.loads("pickle", pieces)
        assert not pieces.parts
    finally:
        tracemalloc.stop()
    assert back == value


@pytest.mark.parametrize("at", [1, 3, 5, 14, 20, 100, 300_000])
def test_a_value_cut_short_is_undecodable(at: int) -> None:
    values: list[Any] = [numpy.zeros(100_000), b"x" * 400_000]
    for value in values:
        data = bytes(serializers.dump("pickle", value, lend=True))
        for cut in (data[:at], Pieces([data[:at]])):
            with pytest.raises(Undecodable):
                serializers.loads("pickle", cut)


def test_a_plain_pickle_is_what_a_small_value_becomes() -> None:
    values: list[Any] = [1, "text", [1, [2, {"a": b"b"}]], ((5,), {})]
    for value in values:
        assert serializers.dump("pickle", value) == pickle.dumps(value, protocol=5)


def test_a_look_at_the_surface_ends_in_endless_values() -> None:
    endless: list[Any] = []
    endless += [endless] * 8
    back = serializers.loads("pickle", serializers.dumps("pickle", endless))
    assert back[0] is back
