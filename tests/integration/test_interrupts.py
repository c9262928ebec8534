"""Signals reach anyone who waits for a future, also in the moment before the main thread blocks."""

from __future__ import annotations

import random
import signal
import threading
import time
from types import FrameType

import pytest

import simpledist
from tests.integration.functions import farm

AGAIN_SECONDS = 5.0  # a signal that was overlooked is sent once more then


class Interrupted(Exception):
    pass


def interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def wait_with_alarm(future: simpledist.Future[float], seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    future.result()


def test_a_signal_is_not_overlooked_while_other_threads_compute(client: simpledist.Client) -> None:
    future = simpledist.worker_function(client, "sleep", farm.sleep).submit(60)
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(100))

    threads = [threading.Thread(target=compute) for _ in range(3)]
    before = signal.signal(signal.SIGALRM, interrupt)
    waits: list[float] = []
    try:
        for thread in threads:
            thread.start()
        draw = random.Random(1)
        for _ in range(60):
            began = time.monotonic()
            with pytest.raises(Interrupted):
                wait_with_alarm(future, draw.uniform(0.001, 0.02))
            signal.setitimer(signal.ITIMER_REAL, 0)
            waits.append(time.monotonic() - began)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        over.set()
        for thread in threads:
            thread.join()
        future.cancel()
    assert max(waits) < AGAIN_SECONDS, f"{sum(wait > AGAIN_SECONDS for wait in waits)} of 60 were overlooked"
