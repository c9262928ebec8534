"""The result buffer: memory of a child and its parent, in which finished parts of a chunk survive the child."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from simpledist import wire
from simpledist.errors import Undecodable
from simpledist.worker.result_buffer import BUFFER_BYTES, ResultBuffer

Pair = tuple[ResultBuffer, ResultBuffer]


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
