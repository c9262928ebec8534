"""Jobs that wait for a child with their modules: which slot gets them, and when."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from simpledist import wire
from simpledist.broker.records import Claimed, Held
from simpledist.worker.channel import Channel
from simpledist.worker.children import Children
from simpledist.worker.printer import Printer
from simpledist.worker.slot import Placed, Slot
from simpledist.worker.waiting_jobs import WaitingJob, WaitingJobs

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
            slot = Slot(number, number, Channel(ours), no_part, no_part, 0.0, children.template)
            slot.begun(1.0, 0.0)
            children.slots.append(slot)
        yield children


def job(name: str, archive: str) -> WaitingJob:
    call = wire.OpenCall("pickle", memoryview(b""), b"", "", "", archive=archive)
    return WaitingJob(Claimed(Held("any", name, "1"), 0, 1, 0, b""), call)


def begun(jobs: WaitingJobs) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for slot, one in jobs.step():
        slot.archive = one.call.archive
        slot.place(Placed(one.claimed.held, "pickle", b""))
        found.append((slot.number, one.claimed.held.id))
    return found


def test_a_job_begins_where_the_child_has_its_modules_or_none_yet(children: Children) -> None:
    jobs = WaitingJobs(children, Path)
    children.slots[0].archive = "p"
    jobs.wait(0, job("one", "p"))
    assert children.free() == [children.slots[1]], "no other job gets this slot"
    jobs.wait(1, job("two", "q"))
    assert begun(jobs) == [(0, "one"), (1, "two")]
    assert not jobs.by_slot


def test_a_slot_is_kept_for_a_job_that_waits_and_given_free_when_it_goes(children: Children) -> None:
    jobs = WaitingJobs(children, Path)
    for slot in children.slots:
        slot.place(Placed(Held("any", f"busy{slot.number}", "1"), "pickle", b""))
    jobs.wait(0, job("one", "p"))
    assert begun(jobs) == []
    children.slots[0].jobs.clear()
    assert children.free() == []
    assert jobs.drop(Held("any", "one", "1"))
    assert children.free() == [children.slots[0]]
    assert not jobs.drop(Held("any", "one", "1"))


def test_a_job_that_waits_behind_a_long_one_goes_to_a_free_slot(children: Children) -> None:
    jobs = WaitingJobs(children, Path)
    first, second = children.slots
    first.place(Placed(Held("any", "long", "1"), "pickle", b""))
    jobs.wait(0, job("one", "p"))
    jobs.wait(0, job("two", "p"))
    assert begun(jobs) == [(1, "one"), (1, "two")]
    assert not jobs.by_slot
    assert not first.kept
    assert not second.kept


def test_both_slots_may_have_jobs_that_wait_and_exchange_them(children: Children) -> None:
    jobs = WaitingJobs(children, Path)
    children.slots[0].place(Placed(Held("any", "long", "1"), "pickle", b""))
    jobs.wait(0, job("one", "p"))
    jobs.wait(1, job("two", "q"))
    assert begun(jobs) == [(1, "two")]  # "one" is behind it, with other modules
    assert [one.id for one in jobs.drop_all()] == ["one"]


def test_a_child_with_other_modules_is_let_go(children: Children) -> None:
    jobs = WaitingJobs(children, Path)
    children.slots[0].archive = "p"
    slots = list(children.slots)
    for slot in slots:
        slot.buffer = slot.output = _Closes()  # type: ignore[assignment]
    jobs.wait(0, job("one", "q"))
    assert begun(jobs) == []
    assert children.slots == [slots[1]]
    assert slots[0].channel.closed
    assert jobs


class _Closes:
    def close(self) -> None: ...
    def end(self) -> None: ...
