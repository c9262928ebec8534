"""A link between two network namespaces whose packets come later: two TUN devices, and a process that holds them back.

Run as a program it is that process: two namespaces, two addresses; each line that it reads is a delay in seconds.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import time
from types import TracebackType

_SET_INTERFACE, _TUN, _NO_HEADER = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET
_PACKET_BYTES = 1 << 16


class Delayed:
    """Such a link to a host; use it in a `with` block. `server`: the address of the server's end."""

    def __init__(self, server_namespace: str, namespace: str, number: int) -> None:
        self.server, host = f"10.213.59.{number * 4 + 1}", f"10.213.59.{number * 4 + 2}"
        self._words = [server_namespace, namespace, self.server, host, f"d{number}"]
        self._seconds = 0.0

    def __enter__(self) -> Delayed:
        command = [sys.executable, "-m", "tests.faults.delayed", *self._words]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process as process:
            process.kill()

    @property
    def seconds(self) -> float:
        """Return how much later a packet comes, each way."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        self._seconds = seconds


def _opened(namespace: str, device: str, address: str, other: str) -> int:
    """Make a TUN device in a namespace; return its descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as its:
        if libc.setns(its.fileno(), _NETWORK_NAMESPACE):
            raise OSError(ctypes.get_errno(), "setns")
    number = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(number, _SET_INTERFACE, struct.pack("16sH", device.encode(), _TUN | _NO_HEADER))
    for words in (
        ("address", "add", address, "peer", other, "dev", device),
        ("link", "set", device, "up"),
    ):
        subprocess.run(["ip", *words], check=True)
    return number


def main() -> None:
    server_namespace, namespace, server, host, device = sys.argv[1:]
    ends = [_opened(server_namespace, device, server, host), _opened(namespace, device, host, server)]
    print("ready", flush=True)
    later: list[tuple[float, int, int, bytes]] = []  # when, in which order, to which end, what
    count, seconds = 0, 0.0
    while True:
        pause = max(later[0][0] - time.monotonic(), 0.0) if later else None
        ready, _, _ = select.select([*ends, sys.stdin], [], [], pause)
        if sys.stdin in ready:
            seconds = float(sys.stdin.readline())
        for at, end in enumerate(ends):
            if end in ready:
                count += 1
                heapq.heappush(later, (time.monotonic() + seconds, count, ends[1 - at], os.read(end, _PACKET_BYTES)))
        while later and later[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(later)
            os.write(end, packet)


if __name__ == "__main__":
    main()
