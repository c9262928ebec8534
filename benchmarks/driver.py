"""A peer's process as the run sees it: asked by lines of JSON, ended with everything that it started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
ANSWER_SECONDS = 90.0


class PeerFailed(Exception):
    """A peer cannot do this work here; its text is one line for people."""


class Driver:
    """One peer's process, with the workers that it starts."""

    def __init__(self, peer: str, python: Path, redis_url: str) -> None:
        self.peer = peer
        environment = {**os.environ, "BENCH_REDIS": redis_url, "PYTHONPATH": str(ROOT), "RAY_DEDUP_LOGS": "0"}
        self._process = subprocess.Popen(
            [str(python), "-m", f"benchmarks.peers.{peer}_peer"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, act: str, **arguments: Any) -> dict[str, Any]:
        """One act of peer.py and its answer. Raises PeerFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"act": act, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise PeerFailed("its process has ended") from None
        if not select.select([self._process.stdout], [], [], ANSWER_SECONDS)[0]:
            raise PeerFailed(f"no answer to {act} within {ANSWER_SECONDS:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailed(f"its process ended during {act}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer

    def family(self) -> list[psutil.Process]:
        """The peer's process and everything that it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def end(self) -> None:
        family = self.family()
        with contextlib.suppress(PeerFailed):
            self.ask("stop")
        for process in [*self.family(), *family]:
            with contextlib.suppress(psutil.NoSuchProcess):  # psutil knows a process id that was used again
                process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@contextlib.contextmanager
def running(peer: str, python: Path, redis_url: str, *, workers: int, slots: int) -> Generator[Driver, None, None]:
    """A peer with its workers started and answering."""
    driver = Driver(peer, python, redis_url)
    try:
        driver.ask("start", workers=workers, slots=slots)
        yield driver
    finally:
        driver.end()
