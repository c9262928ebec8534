"""What a peer can do, and the process that is asked to do it: runs in the peer's own environment, stdlib only.

Requests and answers are lines of JSON on stdin and stdout (driver.py is the other end). The clock runs here, around
the peer's own client, so that the way between the two processes costs a peer nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from benchmarks import holding


class Peer(Protocol):
    """One job queue or pool at its best documented settings. Jobs are named as in jobs.JOBS."""

    def start(self, workers: int, slots: int) -> None:
        """Start worker processes, each with so many slots; Redis is at $BENCH_REDIS, and empty."""
        ...

    def call(self, job: str, *arguments: Any) -> Any:
        """One call and its result."""
        ...

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Single submits in a plain loop, then all results."""
        ...

    def stop(self) -> None: ...


class MappingPeer(Peer, Protocol):
    """A peer whose `map` is more than a loop over `submit`."""

    def map(self, job: str, values: range) -> list[Any]: ...


def serve(peer: Peer) -> None:
    """Answer requests until the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a peer prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _ACTS[request.pop("act")](peer, **request)
        except Exception as error:  # noqa: BLE001 - a peer that fails is left out of the table, with its reason
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def _start(peer: Peer, workers: int, slots: int) -> dict[str, Any]:
    began = time.perf_counter()
    peer.start(workers, slots)
    peer.call("nothing")
    return {"seconds": time.perf_counter() - began}


def _single(peer: Peer, number: int) -> dict[str, Any]:
    """Seconds of each of so many calls, one after the other."""
    for _ in range(max(number // 10, 1)):
        peer.call("nothing")
    seconds: list[float] = []
    for _ in range(number):
        began = time.perf_counter()
        peer.call("nothing")
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds}


def _submits(peer: Peer, number: int, limit: float) -> dict[str, Any]:
    """Calls a second; a slow peer gets as many calls as `limit` seconds hold, judged by a first few."""
    trial = 200
    began = time.perf_counter()
    peer.submit_all("increment", [(i,) for i in range(trial)])
    number = max(trial, min(number, int(trial / (time.perf_counter() - began) * limit)))
    began = time.perf_counter()
    results = peer.submit_all("increment", [(i,) for i in range(number)])
    seconds = time.perf_counter() - began
    _expect(results == [i + 1 for i in range(number)])
    return {"number": number, "seconds": seconds}


def _rests(peer: Peer, number: int, pause: float) -> dict[str, Any]:
    began = time.perf_counter()
    peer.submit_all("rest", [(pause,)] * number)
    return {"seconds": time.perf_counter() - began}


def _echo(peer: Peer, size: int) -> dict[str, Any]:
    value = os.urandom(1024) * (size // 1024)
    began = time.perf_counter()
    back = peer.call("echo", value)
    seconds = time.perf_counter() - began
    _expect(back == value)
    return {"seconds": seconds}


def _map(peer: MappingPeer, number: int) -> dict[str, Any]:
    peer.map("increment", range(1000))
    began = time.perf_counter()
    results = peer.map("increment", range(number))
    seconds = time.perf_counter() - began
    _expect(results == list(range(1, number + 1)))
    return {"number": number, "seconds": seconds}


def _stop(peer: Peer) -> dict[str, Any]:
    peer.stop()
    return {}


def _expect(right: bool) -> None:
    if not right:
        raise AssertionError("wrong results")


_ACTS: dict[str, Callable[..., dict[str, Any]]] = {
    "start": _start,
    "single": _single,
    "submits": _submits,
    "rests": _rests,
    "echo": _echo,
    "map": _map,
    "warm": holding.warm,
    "array": holding.array,
    "model": holding.model,
    "stop": _stop,
}
