"""Frames between parent and child: whole ones, in order, whatever pieces the socket makes of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist.worker.channel import Channel, ChildChannel
from simpledist.worker.frames import BATCH, ENDED, JOB, READY, ROW, Answer, Order

Pair = tuple[Channel, ChildChannel]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
bodies = st.one_of(st.binary(max_size=50), st.sampled_from([bytes(65_535), bytes(65_536), bytes(200_000)]))
short, long = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
orders = st.builds(
    Order,
    kind=st.sampled_from([JOB, BATCH]),
    job=short,
    part=short,
    codec=st.sampled_from([b"p", b"j"]),
    id=texts,
    function=st.text("abc", max_size=20),
    body=bodies,
)
answers = st.builds(
    Answer,
    kind=st.sampled_from([READY, ENDED, ROW]),
    job=short,
    part=short,
    run_us=long,
    calls=short,
    returned=short,
    raised=short,
    outcome=st.text("abc", max_size=20),
    error_text=texts,
    body=bodies,
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(ours)
        yield channel, ChildChannel(theirs)
        channel.close()


@settings(deadline=None, max_examples=50)
@given(st.lists(orders, max_size=8))
def test_orders_come_out_as_they_went_in(sent: list[Order]) -> None:
    ours, theirs = socket.socketpair()
    parent, child = Channel(ours), ChildChannel(theirs)
    got: list[Order] = []

    def read() -> None:
        while len(got) < len(sent):
            got.extend(child.read(wait=True))

    reader = threading.Thread(target=read)
    reader.start()
    parent.send(sent)
    while parent.wants_to_write:
        parent.flush()
    reader.join(10)
    assert [order._replace(body=bytes(order.body)) for order in got] == sent
    parent.close()
    theirs.close()


@settings(deadline=None, max_examples=50)
@given(st.lists(answers, max_size=8))
def test_answers_come_out_as_they_went_in(sent: list[Answer]) -> None:
    ours, theirs = socket.socketpair()
    parent, child = Channel(ours), ChildChannel(theirs)
    got: list[Answer] = []

    def write() -> None:
        for answer in sent:
            child.write(answer)

    writer = threading.Thread(target=write)
    writer.start()
    while len(got) < len(sent):
        got += parent.receive()
    writer.join(10)
    assert [answer._replace(body=bytes(answer.body)) for answer in got] == sent
    parent.close()
    theirs.close()


def test_a_child_reads_what_is_there_without_waiting(pair: Pair) -> None:
    parent, child = pair
    assert child.read(wait=False) == []
    parent.send([Order(JOB, 1), Order(JOB, 2)])
    assert [order.job for order in child.read(wait=False)] == [1, 2]
    assert child.read(wait=False) == []
    assert not child.ended


def test_the_end_of_a_channel_is_seen_on_both_sides(pair: Pair) -> None:
    parent, child = pair
    child.write(Answer(ENDED, 3, body=b"last words"))
    parent.send([Order(JOB, 4)])
    assert [bytes(answer.body) for answer in parent.receive()] == [b"last words"]
    parent.close()
    assert [order.job for order in child.read(wait=True)] == [4]
    assert child.read(wait=True) == []
    assert child.ended


def test_a_channel_knows_of_what_no_one_has_read(pair: Pair) -> None:
    parent, child = pair
    assert not parent.unread()
    child.write(Answer(READY))
    assert parent.unread()
    assert parent.receive() == [Answer(READY)]
    assert not parent.unread()
