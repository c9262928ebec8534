"""What a reader of replies makes of bytes, in whatever pieces they come."""

from __future__ import annotations

import itertools
from typing import Any, cast

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist.broker.resp import ELEMENTS_MOST, BoundedReader, PlainReader, TooLong, new_reader

# Values that look like what announces too many elements, beside any others.
VALUES = st.one_of(
    st.integers(-1000, 10**9),
    st.binary(max_size=200),
    st.sampled_from(
        [b"*99999999\r\n", b"*1234567", b"$3\r\n*9999999\r\n", b"~" + b"9" * 40, b"x*" + b"8" * 9 + b"\r\n" * 3]
    ),
)
REPLIES = st.lists(
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=5), max_leaves=20), min_size=1, max_size=6
)


def encoded(reply: Any) -> bytes:
    if isinstance(reply, list):
        inner = cast("list[Any]", reply)
        return b"*%d\r\n" % len(inner) + b"".join(map(encoded, inner))
    return b":%d\r\n" % reply if isinstance(reply, int) else b"$%d\r\n%b\r\n" % (len(reply), reply)


def read(reader: Any, pieces: list[bytes]) -> list[Any]:
    found: list[Any] = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.gets()) is not False:
            found.append(reply)
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(REPLIES, st.lists(st.integers(0, 10**6), max_size=12))
def test_replies_come_whole_in_whatever_pieces(replies: list[Any], places: list[int]) -> None:
    pieces = cut(b"".join(map(encoded, replies)), places)
    assert read(new_reader(), pieces) == replies
    assert read(PlainReader(), pieces) == replies


@given(REPLIES, st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from([b"*", b"~", b">"]), st.integers(0, 3))
def test_an_array_of_too_many_elements_is_given_up_before_room_is_made_for_it(
    replies: list[Any], places: list[int], kind: bytes, inside: int
) -> None:
    announced = b"*2\r\n:1\r\n" * inside + kind + b"%d\r\n" % (ELEMENTS_MOST + len(places))
    pieces = cut(b"".join(map(encoded, replies)) + announced, places)
    reader = new_reader()
    assert isinstance(reader, BoundedReader)
    with pytest.raises(TooLong, match="1,000,000 elements or more"):
        read(reader, pieces)


def test_a_long_value_full_of_such_texts_is_read_in_one_pass() -> None:
    value = b"*12345678 " * 1_000_000
    data = encoded(value)
    pieces = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    joined = 0

    class Counting(BoundedReader):
        def _demand_few(self) -> None:
            nonlocal joined
            joined += sum(map(len, self._unread))
            super()._demand_few()

    assert read(Counting(hiredis.Reader()), pieces) == [value]
    assert joined < 10_000


def test_fewer_elements_are_read() -> None:
    whole = b"*%d\r\n" % (ELEMENTS_MOST - 1) + b":1\r\n" * (ELEMENTS_MOST - 1)
    assert read(new_reader(), [whole]) == [[1] * (ELEMENTS_MOST - 1)]
