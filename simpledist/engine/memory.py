"""The cluster of memory://: no server, no process, no thread, for unit tests of programs that use simpledist.

A call is run by the thread that makes it, before `submit` returns, through the same envelopes and codecs as on the way
to a worker and back: the function gets copies, the caller gets a copy, and what cannot travel runs here, with the same
`why`. Nothing waits, so nothing is queued, joined, cancelled or timed out; values are cached as long as the client
lives. Called by the client, in place of Redis.
"""

from __future__ import annotations

import time
from typing import Any

from simpledist import wire
from simpledist.buffers import Data
from simpledist.engine.calls import Calls
from simpledist.engine.future import Future
from simpledist.engine.ready import Read, RunHere
from simpledist.errors import Undecodable
from simpledist.job import Info, version_of
from simpledist.reasons import why_of
from simpledist.wire.keyring import Keyring

WORKER = "memory"  # what `info.worker` says


class Memory:
    """Runs calls at once; any thread may call it."""

    def __init__(self, calls: Calls, keyring: Keyring) -> None:
        self._calls = calls
        self._keyring = keyring
        self._kept: dict[bytes, tuple[str, float, bytes]] = {}  # address -> function, until when, sealed value

    def clear(self, function: str) -> int:
        """Forget what was kept of a function; how many values."""
        kept = [address for address, (its, _, _) in list(self._kept.items()) if its == function]
        for address in kept:
            self._kept.pop(address, None)
        return len(kept)

    def run(self, future: Future[Any]) -> None:
        """Run one call, to its outcome. KeyboardInterrupt passes through: it is the test that was interrupted."""
        call = future.call
        kept = self._kept.get(call.address) if call.address and call.sharing and call.sharing.cache_seconds else None
        if kept is not None and time.monotonic() < kept[1]:
            self._settle(future, kept[2], Info("remote", version=version_of(call.spec.function), cached=True))
            return
        if call.spec.max_queue == 0:
            self._calls.run_here(future, RunHere("queue_full"))
            return
        began = time.perf_counter()
        opened = wire.open_call(call.spec.function, self._calls.envelopes.seal(call), self._keyring, now_ms=0)
        kind, answer, detail = wire.run_call(call.spec.here, opened.codec, opened.body)
        run_seconds = time.perf_counter() - began
        if kind not in ("value", "error"):
            # It ran in this very process: one of its own would spare nothing.
            why = "worker_error" if kind == "memory" else why_of(kind)
            self._calls.run_here(future, RunHere(why, detail, WORKER))
            return
        sealed = wire.seal_outcome(call.spec.function, opened.codec, kind, answer, opened.digest, self._keyring, 0)
        if kind == "value" and call.address and call.sharing and call.sharing.cache_seconds:
            self._kept[call.address] = call.spec.function, time.monotonic() + call.sharing.cache_seconds, bytes(sealed)
        info = Info(
            "remote", worker=WORKER, version=version_of(call.spec.function), attempts=1, run_seconds=run_seconds
        )
        self._settle(future, sealed, info)

    def _settle(self, future: Future[Any], sealed: Data, info: Info) -> None:
        call = future.call
        try:
            outcome = wire.decode_outcome(wire.open_outcome(call.spec.function, sealed, call.digest, self._keyring))
        except Undecodable as error:
            self._calls.run_here(future, RunHere("undecodable", str(error)))
            return
        future.settle(Read(outcome, info))
