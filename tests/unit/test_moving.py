"""Jobs that wait for a child with their modules: which slot gets them, and when."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from simpledist import wire
from simpledist.broker.records import Claimed, Held
from simpledist.worker.channel import Channel
from simpledist.worker.children import Children
from simpledist.worker.moving import Moving, Waiting
from simpledist.worker.printer import Printer
from simpledist.worker.slot import Placed, Slot

no_part: Any = None  # of a slot: nothing here uses it


@pytest.fixture
def children() -> Iterator[Children]:
    """Two slots whose children take jobs; there is no template that would start others."""
    with ExitStack() as stack:
        children = Children(["fns"], 2, Printer())
        for number in range(2):
            ours, theirs = socket.socketpair()
            stack.enter_context(theirs)
            stack.enter_context(ours)
            slot = Slot(number, number, Channel(ours), no_part, no_part, 0.0)
            slot.begun(1.0, 0.0)
            children.slots.append(slot)
        yield children


def job(name: str, archive: str) -> Waiting:
    call = wire.OpenCall("pickle", memoryview(b""), b"", "", "", archive=archive)
    return Waiting(Claimed(Held("any", name, "1"), 0, 1, 0, b""), call)


def begun(moving: Moving) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for slot, one in moving.step():
        slot.archive = one.call.archive
        slot.place(Placed(one.claimed.held, "pickle", b""))
        found.append((slot.number, one.claimed.held.id))
    return found


def test_a_job_begins_where_the_child_has_its_modules_or_none_yet(children: Children) -> None:
    moving = Moving(children)
    children.slots[0].archive = "p"
    moving.wait(0, job("one", "p"))
    assert children.free() == [children.slots[1]], "no other job gets this slot"
    moving.wait(1, job("two", "q"))
    assert begun(moving) == [(0, "one"), (1, "two")]
    assert not moving.waiting


def test_a_slot_is_kept_for_a_job_that_waits_and_given_free_when_it_goes(children: Children) -> None:
    moving = Moving(children)
    for slot in children.slots:
        slot.place(Placed(Held("any", f"busy{slot.number}", "1"), "pickle", b""))
    moving.wait(0, job("one", "p"))
    assert begun(moving) == []
    children.slots[0].jobs.clear()
    assert children.free() == []
    assert moving.drop(Held("any", "one", "1"))
    assert children.free() == [children.slots[0]]
    assert not moving.drop(Held("any", "one", "1"))


def test_a_job_that_waits_behind_a_long_one_goes_to_a_free_slot(children: Children) -> None:
    moving = Moving(children)
    first, second = children.slots
    first.place(Placed(Held("any", "long", "1"), "pickle", b""))
    moving.wait(0, job("one", "p"))
    moving.wait(0, job("two", "p"))
    assert begun(moving) == [(1, "one"), (1, "two")]
    assert not moving.waiting
    assert not first.kept
    assert not second.kept


def test_both_slots_may_have_jobs_that_wait_and_exchange_them(children: Children) -> None:
    moving = Moving(children)
    children.slots[0].place(Placed(Held("any", "long", "1"), "pickle", b""))
    moving.wait(0, job("one", "p"))
    moving.wait(1, job("two", "q"))
    assert begun(moving) == [(1, "two")]  # "one" is behind it, with other modules
    assert [one.id for one in moving.drop_all()] == ["one"]


def test_a_child_with_other_modules_is_let_go(children: Children) -> None:
    moving = Moving(children)
    children.slots[0].archive = "p"
    slots = list(children.slots)
    for slot in slots:
        slot.buffer = slot.output = _Closes()  # type: ignore[assignment]
    moving.wait(0, job("one", "q"))
    assert begun(moving) == []
    assert children.slots == [slots[1]]
    assert slots[0].channel.closed
    assert moving


class _Closes:
    def close(self) -> None: ...
    def end(self) -> None: ...
