"""Processes that must not outlive the one that started them, however that one ends.

Called by what starts servers and workers in the background: embedded.py and cluster.py. Knows nothing of what they run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STOP_SECONDS = 5.0


class Keeper:
    """Kills a process, and removes a folder, if this process dies without a word.

    A small process of its own that waits for the end of a pipe: a parent-death signal would need code between fork and
    exec, unsafe in a process with threads, and would fire when the *thread* ends that started the process.
    """

    _PROGRAM = (
        "import os, select, shutil, sys\n"
        "parent = int(sys.argv[3])\n"
        # A fork of the parent may hold the pipe open after its death.
        "while not select.select([0], [], [], 1.0)[0] and os.getppid() == parent: pass\n"
        "if not (select.select([0], [], [], 0)[0] and os.read(0, 1)):\n"
        "    try: os.kill(int(sys.argv[1]), 9)\n"
        "    except OSError: pass\n"
        "    if sys.argv[2]: shutil.rmtree(sys.argv[2], ignore_errors=True)\n"
    )

    def __init__(self, pid: int, folder: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", self._PROGRAM, str(pid), str(folder or ""), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Forget the process: it has ended and was waited for."""
        try:
            self._process.communicate(b".", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def kept(process: subprocess.Popen[bytes], folder: Path | None = None) -> Keeper:
    """Return the keeper of a process that was just started; raises OSError, and the process is gone, without one."""
    try:
        return Keeper(process.pid, folder)
    except BaseException:
        process.kill()
        process.wait()
        raise


def end_process(process: subprocess.Popen[bytes], *, seconds: float = STOP_SECONDS, signalled: bool = False) -> int:
    """SIGTERM, and SIGKILL to what still runs after so many seconds; its exit code (-9 where it had to be killed).

    `signalled`: it has its SIGTERM already; to a worker a second one means "at once".
    """
    if not signalled and process.poll() is None:
        process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
