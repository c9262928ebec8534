"""Frames between parent and child: whole ones, in order, whatever pieces the socket makes of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist.worker.channel import ANSWER, JOB, READY, Channel, ChildChannel, Frame

Pair = tuple[Channel, ChildChannel]

frames = st.builds(
    Frame,
    kind=st.sampled_from([READY, JOB, ANSWER]),
    code=st.sampled_from([b"p", b"j"]),
    job=st.integers(0, 2**32 - 1),
    part=st.integers(0, 2**32 - 1),
    number=st.integers(0, 2**64 - 1),
    first=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    second=st.text("abc", max_size=20),
    body=st.one_of(st.binary(max_size=50), st.sampled_from([bytes(65_535), bytes(65_536), bytes(200_000)])),
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(ours)
        yield channel, ChildChannel(theirs)
        channel.close()


def plain(frame: Frame) -> Frame:
    return frame._replace(body=bytes(frame.body))


@settings(deadline=None, max_examples=50)
@given(st.lists(frames, max_size=8))
def test_frames_come_out_as_they_went_in(sent: list[Frame]) -> None:
    ours, theirs = socket.socketpair()
    parent, child = Channel(ours), ChildChannel(theirs)
    got: list[Frame] = []

    def read() -> None:
        while len(got) < len(sent):
            got.extend(child.read(wait=True))

    reader = threading.Thread(target=read)
    reader.start()
    parent.send(sent)
    while parent.wants_to_write:
        parent.flush()
    reader.join(10)
    assert [plain(frame) for frame in got] == sent
    parent.close()
    theirs.close()


def test_a_child_reads_what_is_there_without_waiting(pair: Pair) -> None:
    parent, child = pair
    assert child.read(wait=False) == []
    parent.send([Frame(JOB, job=1), Frame(JOB, job=2)])
    assert [frame.job for frame in child.read(wait=False)] == [1, 2]
    assert child.read(wait=False) == []
    assert not child.ended


def test_the_end_of_a_channel_is_seen_on_both_sides(pair: Pair) -> None:
    parent, child = pair
    child.write(Frame(ANSWER, job=3, body=b"last words"))
    parent.send([Frame(JOB, job=4)])
    assert [bytes(frame.body) for frame in parent.receive()] == [b"last words"]
    parent.close()
    assert [frame.job for frame in child.read(wait=True)] == [4]
    assert child.read(wait=True) == []
    assert child.ended


def test_a_channel_knows_of_what_nobody_has_read(pair: Pair) -> None:
    parent, child = pair
    assert not parent.unread()
    child.write(Frame(READY))
    assert parent.unread()
    assert parent.receive() == [Frame(READY)]
    assert not parent.unread()
