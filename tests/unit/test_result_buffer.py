"""The result buffer: memory of a child and its parent, in which finished parts of a batch survive the child."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from simpledist import policy, wire
from simpledist.errors import Undecodable
from simpledist.worker.channel import Channel, ChildChannel
from simpledist.worker.child import Assigned
from simpledist.worker.decoded import Decoded
from simpledist.worker.frames import JOB, Order
from simpledist.worker.result_buffer import BUFFER_BYTES, ResultBuffer
from simpledist.worker.slot import Slot

Pair = tuple[ResultBuffer, ResultBuffer]
no_output: Any = None  # a slot that is not closed does not use it
no_template: Any = None


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The parent's side and the child's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        parent = ResultBuffer.shared_over(ours)
        child = ResultBuffer.received_from(theirs)
        yield parent, child
        parent.close()
        child.close()


def test_what_the_child_adds_the_parent_reads_until_it_is_wiped(pair: Pair) -> None:
    parent, child = pair
    child.wipe(3)
    assert child.add(b"one")
    assert child.add(b"two")
    assert parent.read(3) == child.written() == b"onetwo"
    assert parent.read(2) == b"", "that is another job"
    child.wipe(4)
    assert parent.read(3) == parent.read(4) == b""


def test_the_child_says_which_job_it_runs(pair: Pair) -> None:
    parent, child = pair
    assert parent.running() is None
    child.runs(0)
    assert parent.running() == 0
    child.runs(7)
    child.wipe(7)
    child.add(b"one")
    assert parent.running() == 7
    assert parent.read(7) == b"one"


def test_what_does_not_fit_is_refused_and_harms_nothing(pair: Pair) -> None:
    parent, child = pair
    child.wipe(0)
    assert child.add(b"one")
    assert not child.add(b"x" * BUFFER_BYTES)
    assert parent.read(0) == b"one"


def test_it_survives_the_child(pair: Pair) -> None:
    parent, child = pair
    pid = os.fork()
    if pid == 0:
        child.wipe(7)
        child.add(b"finished")
        os._exit(1)
    os.waitpid(pid, 0)
    assert parent.read(7) == b"finished"


def test_a_parent_that_is_gone_ends_its_child() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs, pytest.raises(EOFError):
        ResultBuffer.received_from(theirs)


def encoded(numbers: range) -> bytes:
    return b"".join(wire.encode_part(n, "error" if n == 2 else "value", b"x" * n, 10 + n) for n in numbers)


def test_a_row_begins_where_the_last_one_ended() -> None:
    row = wire.row_from(encoded(range(5)), 2)
    assert row == wire.Row(encoded(range(2, 5)), count=3, returned=2, raised=1, run_us=12 + 13 + 14)
    assert wire.row_from(encoded(range(5)), 5) == wire.Row(b"", 0, 0, 0, 0)


def test_a_row_has_no_gaps_and_is_not_cut() -> None:
    with pytest.raises(Undecodable):
        wire.row_from(encoded(range(3, 5)), 2)
    with pytest.raises(Undecodable):
        wire.row_from(encoded(range(5))[:-1], 0)


def test_a_child_with_jobs_left_hears_of_a_recall_before_it_begins_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "LOOK_SECONDS", 1e9)
    parent, child = pair
    ours, theirs = socket.socketpair()
    with theirs:
        channel, assigned = Channel(ours), Assigned(ChildChannel(theirs), child, Decoded())
        slot = Slot(0, 1, channel, parent, no_output, 0.0, no_template)
        channel.send([Order(JOB, number) for number in range(4)])
        assert [assigned.next(), assigned.next()] == [Order(JOB, 0), Order(JOB, 1)]
        slot.recall(3)
        assert assigned.next() == Order(JOB, 2)
        channel.send([Order(JOB, 4)])
        assert assigned.next() == Order(JOB, 4), "job 3 has gone back"
        channel.close()
        assert assigned.next() is None


def test_a_child_with_jobs_left_hears_after_a_while_that_its_parent_is_gone(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "LOOK_SECONDS", 0.0)
    ours, theirs = socket.socketpair()
    with theirs:
        channel, assigned = Channel(ours), Assigned(ChildChannel(theirs), pair[1], Decoded())
        channel.send([Order(JOB, number) for number in range(4)])
        assert assigned.next() == Order(JOB, 0)
        channel.close()
        assert assigned.next() is None
