"""Worker processes of peers that bring a command line of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

REDIS_URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0")


class Processes:
    """Started together, stopped together."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, number: int = 1) -> None:
        """Start `command`, found beside this environment's Python where it is no whole path."""
        program = Path(sys.executable).parent / command[0]
        line = [str(program), *command[1:]]
        for _ in range(number):
            self._running.append(
                subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGINT)
        for process in self._running:
            try:
                process.wait(3.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running = []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    """Return once somebody listens there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
