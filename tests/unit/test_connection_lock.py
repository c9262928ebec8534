"""Values that travel in slices over one connection take turns, and what is small goes before the next slice."""

from __future__ import annotations

import threading
import time

import pytest

from simpledist.engine.connection_lock import ConnectionLock
from tests.waiting import wait_until

SLICE_SECONDS = 0.01
MANY = 150  # slices of the big value


@pytest.mark.parametrize("others", [1, 3])
@pytest.mark.parametrize("small", [False, True], ids=["a slice of another value", "a small command"])
def test_whoever_comes_while_a_slice_moves_has_the_connection_next(small: bool, others: int) -> None:
    lock = ConnectionLock()
    moved: list[float] = []
    waited: list[int] = []

    def slice_moves() -> None:
        time.sleep(SLICE_SECONDS)  # as while bytes move: other threads run
        moved.append(time.monotonic())

    def big() -> None:
        for _ in range(MANY):
            lock.use_for_slice(slice_moves)

    def other() -> None:
        use = lock.use if small else lock.use_for_slice
        for _ in range(3):
            before = len(moved)
            waited.append(use(lambda: len(moved)) - before)

    threads = [threading.Thread(target=big), *(threading.Thread(target=other) for _ in range(others))]
    threads[0].start()
    wait_until(lambda: len(moved) >= 3, 10, "the big value is on its way")
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(moved) == MANY
    assert len(waited) == 3 * others
    assert max(waited) <= 2 + others, "the slice that moves, the one that has its turn already, and one of each other"
