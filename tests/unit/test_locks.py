"""The order of the client's locks: a thread that would take them the other way round gets an error at once."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from simpledist.engine import locks

ABOVE, BELOW = "flight", "batch"


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "CHECKED", True)


def test_locks_may_be_taken_in_their_order() -> None:
    with locks.lock(ABOVE), locks.lock(BELOW):
        pass


def test_the_other_way_round_is_refused_before_the_thread_waits() -> None:
    above, below = locks.lock(ABOVE), locks.lock(BELOW)
    with below, pytest.raises(AssertionError, match="holds 'batch' waits for 'flight'"):
        above.acquire()
    assert not above.locked()
    with above, below:
        pass


def test_a_lock_is_not_waited_for_by_the_thread_that_holds_it() -> None:
    lock = locks.lock(ABOVE)
    with lock, pytest.raises(AssertionError):
        lock.acquire()


def test_a_lock_that_is_only_tried_has_no_place_in_the_order() -> None:
    above, below = locks.lock(ABOVE), locks.lock(BELOW)
    with below:
        assert above.acquire(blocking=False)
        above.release()
        assert above.acquire(timeout=0.1)
        above.release()


def test_a_condition_is_reentrant_and_gives_its_lock_up_while_it_waits() -> None:
    condition, below = locks.condition(ABOVE), locks.lock(BELOW)
    done = threading.Event()

    def notify() -> None:
        with condition:
            done.set()
            condition.notify_all()

    thread = threading.Thread(target=notify)
    with condition, condition:
        thread.start()
        locks.wait_for(condition, done.is_set)
        with below:
            pass
    thread.join()
    with below, pytest.raises(AssertionError):
        condition.acquire()


def test_another_thread_may_release_a_lock() -> None:
    lock = locks.lock(ABOVE)
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not lock.locked()


def test_futures_may_be_taken_together() -> None:
    with locks.condition("future"), locks.condition("future"):
        pass


def test_each_name_stands_once() -> None:
    assert len(set(locks.ORDER)) == len(locks.ORDER)


def test_what_a_signal_handler_took_and_gave_back_while_the_order_is_checked_is_not_held() -> None:
    above, below = locks.lock(ABOVE), locks.lock(BELOW)

    def interrupt(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and frame.f_code.co_name == "_check":
            with below:
                pass
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        above.acquire()
    finally:
        sys.settrace(before)
    above.release()
