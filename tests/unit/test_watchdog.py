"""The bound on imports and `--setup` leaves nothing behind that forbids a fork."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from simpledist.worker import watchdog
from simpledist.worker.forking import threads_in_kernel


class Lingering:
    """In place of faulthandler: its thread has said that it goes, and takes its time, as on a busy machine."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        self.cancelled.wait(60)
        time.sleep(0.3)

    def dump_traceback_later(self, _seconds: float, *, exit: bool) -> None:
        assert exit
        self.thread.start()

    def cancel_dump_traceback_later(self) -> None:
        self.cancelled.set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not say which threads there are")
def test_the_thread_that_kept_the_time_is_gone_however_slowly_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    lingering = Lingering()
    monkeypatch.setattr(watchdog, "faulthandler", lingering)
    with watchdog.ends_within(60):
        assert lingering.thread.native_id in threads_in_kernel()
    assert lingering.thread.native_id not in threads_in_kernel()
