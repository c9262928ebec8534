"""Marks of threads that work for us."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from simpledist.engine import inside
from simpledist.engine.deferred import Deferred
from simpledist.engine.inside import OurThread, Thread, is_inside, thread
from tests.waiting import wait_until


def test_a_thread_that_is_interrupted_while_it_makes_its_mark_is_asked_all_the_same() -> None:
    """The collector may strike there: what it runs may call a function of ours."""
    found: list[Any] = []

    def strike(frame: FrameType, _event: str, _arg: object) -> None:
        if frame.f_code is Thread.__init__.__code__:
            sys.settrace(None)
            found.append(is_inside())
            with thread.mark:
                found.append(is_inside())

    def work() -> None:
        sys.settrace(strike)
        with thread.mark:
            found.append(is_inside())
        found.append(is_inside())

    one = threading.Thread(target=work)
    one.start()
    one.join()
    assert found == [False, True, True, False]


class Alarm(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM raises Alarm."""

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.signal(signal.SIGALRM, before)


class Strike:
    """A trace function: SIGALRM at the n-th instruction of the stdlib's threads or of ours in this thread."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code.co_filename not in (threading.__file__, inside.__file__):
            return None
        frame.f_trace_opcodes = True
        if event in ("line", "opcode"):
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGALRM)
        return self


def start_struck(one: threading.Thread, n: int) -> bool:
    """Start it, with a signal whose handler raises at the n-th instruction; return whether it came to so many."""
    strike = Strike(n)
    sys.settrace(strike)
    try:
        with suppress(Alarm, RuntimeError):  # the stdlib's condition lets go of its lock twice
            one.start()
    finally:
        sys.settrace(None)
    return strike.left <= 0


@pytest.mark.usefixtures("alarm")
def test_a_handler_that_raises_while_a_thread_is_started_leaves_none_that_never_begins() -> None:
    before, struck, n = set(threading.enumerate()), True, 0
    while struck:
        n += 1
        struck = start_struck(OurThread(lambda: None, name=f"struck at {n}"), n)
    wait_until(lambda: set(threading.enumerate()) <= before, 5, f"each of {n} threads has ended")
    assert n > 10


def test_a_thread_that_cannot_be_started_says_so_to_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        OurThread(lambda: None, name="refused").start()


def test_a_finaliser_in_the_thread_that_starts_another_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []

    def finalise(_: threading.Thread) -> None:
        found.append(is_inside())

    monkeypatch.setattr(threading.Thread, "start", finalise)
    OurThread(lambda: None, name="never begun").start()
    assert found == [True]
    assert not is_inside()


def test_what_interrupts_the_work_that_an_interruption_left_is_an_interruption_again() -> None:
    found: list[bool] = []
    deferred = Deferred(wake=lambda: None, attended=lambda: True)
    deferred.put(lambda: found.append(is_inside()))
    deferred.run()
    assert found == [True]
    assert not is_inside()
