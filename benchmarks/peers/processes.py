"""Worker processes of peers that bring a command line of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

REDIS_URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0")


class Processes:
    """Started together, stopped together."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, number: int = 1) -> None:
        """Start `command`, found beside this environment's Python."""
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
