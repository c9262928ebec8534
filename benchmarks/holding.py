"""What a peer is asked about data that many calls have in common: runs in the peer's own environment, with numpy.

A peer that does this has two methods beside those of peer.py: `hold(value, kind)` returns what its calls are given in
the place of a value, and `with_held(job, held, number, way)` makes so many calls with it and returns their results.
"""

from __future__ import annotations

import os
import time
from importlib import import_module
from typing import Any, Protocol

from benchmarks.jobs import Model


class HoldingPeer(Protocol):
    """A peer that has a way, or none, to give one value to many calls."""

    def hold(self, value: Any, kind: str) -> Any:
        """Return what stands for a value in calls. `kind`: immutable, shared or writeable."""
        ...

    def with_held(self, job: str, held: Any, number: int, way: str) -> list[Any]:
        """Return what `job(held, n)` comes to for each n below a number. `way`: plain, submit, map or joblib."""
        ...


def warm(peer: HoldingPeer, number: int, way: str) -> dict[str, Any]:
    """Let all workers import what the calls need."""
    numpy: Any = import_module("numpy")
    for _ in range(3):
        peer.with_held("total", peer.hold(numpy.arange(8.0), "writeable"), number, way)
    return {}


def array(peer: HoldingPeer, megabytes: int, number: int, kind: str, way: str) -> dict[str, Any]:
    """Seconds of so many calls with one array of random numbers, with all that it takes to hold it."""
    numpy: Any = import_module("numpy")
    size = megabytes * 1_000_000
    one = os.urandom(1_000_000)
    whole = numpy.frombuffer(one * megabytes if kind == "immutable" else bytearray(one) * megabytes, numpy.uint8)
    due = int(whole[::4096].sum())
    began = time.perf_counter()
    held = peer.hold(whole, kind)
    totals = peer.with_held("total", held, number, way)
    seconds = time.perf_counter() - began
    if totals != [due + n for n in range(number)]:
        raise AssertionError("wrong results")
    return {"seconds": seconds, "bytes": size}


def model(peer: HoldingPeer, number: int) -> dict[str, Any]:
    """Seconds of so many calls with an object that takes half a second to unpickle, and how often that was done."""
    began = time.perf_counter()
    held = peer.hold(Model(0.5), "shared")
    marks = peer.with_held("mark_of", held, number, "submit")
    return {"seconds": time.perf_counter() - began, "decoded": len(set(marks))}
