"""An event that outlives whatever a signal handler raises in a thread that waits for it."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import Any

from simpledist.engine.signal_safe_event import SignalSafeEvent


class Torn(BaseException):
    """What is raised between two steps of a wait, as Ctrl-C is."""


class Tear:
    """Raises Torn at the n-th step of the interpreter's in this thread from now on, once."""

    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                raise Torn
        return self


def torn_away(event: SignalSafeEvent, step: int) -> bool:
    """Wait in this thread; return whether it was torn away at that step, and did not come to its end before."""
    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # pyright: ignore[reportPrivateUsage]  # 3.12 looks for such a frame in settrace
    try:
        sys.settrace(Tear(step))
        event.wait(0.001)
    except Torn:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_wait_that_is_torn_away_at_any_step_holds_up_no_other_thread() -> None:
    steps = 0
    while True:
        event = SignalSafeEvent()
        torn = torn_away(event, steps + 1)
        setter = threading.Thread(target=event.set, daemon=True)
        setter.start()
        setter.join(5.0)
        assert not setter.is_alive(), f"torn away at step {steps + 1}"
        assert event.wait(5.0)
        if not torn:
            break
        steps += 1
    assert steps > 30


def test_every_wait_ends_when_it_happens() -> None:
    event = SignalSafeEvent()
    assert not event.is_set()
    waits = [threading.Thread(target=event.wait, args=(seconds,)) for seconds in (None, 30.0, None)]
    for wait in waits:
        wait.start()
    event.set()
    for wait in waits:
        wait.join(10.0)
    assert not any(wait.is_alive() for wait in waits)
    assert event.is_set()
    assert event.wait(0.0)


def test_a_wait_ends_with_its_time() -> None:
    event, began = SignalSafeEvent(), time.monotonic()
    assert not event.wait(0.05)
    assert not event.wait(-1.0)
    assert 0.05 <= time.monotonic() - began < 5.0
