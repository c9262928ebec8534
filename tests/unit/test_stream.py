"""The time that a socket waits at present is not set anew for each command; how long a command may take is the same."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator

import pytest

from simpledist.broker.resp import new_reader
from simpledist.broker.stream import Stream

COMMAND = b"x" * 16_000  # such a one is given to the kernel at once
SHORT_SECONDS = 0.02


@contextlib.contextmanager
def streaming(waits: float = SHORT_SECONDS, *, full: bool = False) -> Generator[tuple[Stream, socket.socket]]:
    """Yield a stream whose socket waits for so long at present, and the other end. `full`: the kernel takes no more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(SHORT_SECONDS)
        with contextlib.suppress(TimeoutError):
            while full:
                ours.send(COMMAND)
        ours.settimeout(waits)
        yield Stream(ours, new_reader()), theirs


def test_a_reply_is_waited_for_as_long_as_is_said_though_the_socket_waits_for_less() -> None:
    with streaming() as (stream, theirs):
        timer = threading.Timer(5 * SHORT_SECONDS, theirs.sendall, [b":7\r\n"])
        timer.start()
        assert stream.read(5.0) == 7
        timer.join()
        assert stream.read_within(2 * SHORT_SECONDS) == (False, None)


def test_a_command_that_the_kernel_does_not_take_at_once_goes_on_in_order() -> None:
    received = bytearray()
    with streaming(full=True) as (stream, theirs):

        def drain() -> None:
            while not received.endswith(b"end"):
                received.extend(theirs.recv(1 << 20))

        timer = threading.Timer(5 * SHORT_SECONDS, drain)
        timer.start()
        stream.write(b"y" * 16_000 + b"end", 5.0)
        timer.join()
    assert received.endswith(b"y" * 16_000 + b"end")
    assert received.count(b"y") == 16_000


@pytest.mark.parametrize("waits", [SHORT_SECONDS, 0.5, 5.0])
def test_a_command_that_the_kernel_never_takes_has_its_time_and_no_more(waits: float) -> None:
    with streaming(waits, full=True) as (stream, _):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            stream.write(COMMAND, 0.5)
        assert 0.4 < time.monotonic() - began < 0.95
