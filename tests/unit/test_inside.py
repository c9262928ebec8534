"""Marks of threads that work for us."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from simpledist.engine.inside import Thread, is_inside, thread


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
