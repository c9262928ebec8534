"""Nonces: never the same twice, not in threads, not in signal handlers, not on either side of a fork."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from simpledist import wire
from simpledist.wire.nonces import NONCE_BYTES

NUMBER = 2000


def test_they_are_16_bytes_and_all_different() -> None:
    drawn = [wire.nonce() for _ in range(NUMBER)]
    assert {len(nonce) for nonce in drawn} == {NONCE_BYTES} == {16}
    assert len(set(drawn)) == NUMBER


def test_threads_get_different_ones() -> None:
    drawn: list[list[bytes]] = [[] for _ in range(8)]

    def draw(into: list[bytes]) -> None:
        into += [wire.nonce() for _ in range(NUMBER)]

    threads = [threading.Thread(target=draw, args=(into,)) for into in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({nonce for into in drawn for nonce in into}) == 8 * NUMBER


def test_a_signal_handler_that_draws_while_one_is_drawn_gets_another() -> None:
    drawn: list[bytes] = []

    def handler(_number: int, _frame: FrameType | None) -> None:
        drawn.extend(wire.nonce() for _ in range(3))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        drawn_here: list[bytes] = []
        while len(drawn) < 300:
            drawn_here.append(wire.nonce())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len({*drawn, *drawn_here}) == len(drawn) + len(drawn_here)


def test_both_sides_of_a_fork_go_on_with_different_ones() -> None:
    wire.nonce()  # more than this one are drawn now
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(b"".join(wire.nonce() for _ in range(600)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    mine = {wire.nonce() for _ in range(600)}
    drawn = {theirs[at : at + NONCE_BYTES] for at in range(0, len(theirs), NONCE_BYTES)}
    assert len(drawn) == len(mine) == 600
    assert not drawn & mine
