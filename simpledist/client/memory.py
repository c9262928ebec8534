"""The cluster of memory://: no server, no process, no thread, for unit tests of programs that use simpledist.

A call is run by the thread that makes it, before `submit` returns, through the same envelopes and codecs as on the way
to a worker and back: the function gets copies, the caller gets a copy, and what cannot travel runs here, with the same
`why`. Nothing waits, so nothing is queued, cancelled or timed out. Called by the client, in place of Redis.
"""

from __future__ import annotations

import time
from typing import Any

from simpledist import wire
from simpledist.client.future import Future
from simpledist.client.outcomes import Outcomes
from simpledist.errors import Undecodable
from simpledist.job import Info, version_of, why_of
from simpledist.signing import Keyring

WORKER = "memory"  # what `info.worker` says


class Memory:
    """Runs calls at once; any thread may call it."""

    def __init__(self, outcomes: Outcomes, keyring: Keyring) -> None:
        self._outcomes = outcomes
        self._keyring = keyring

    def run(self, future: Future[Any]) -> None:
        """One call, to its outcome. KeyboardInterrupt passes through: it is the test that was interrupted."""
        call = future.call
        if call.max_queue == 0:
            self._outcomes.run_here(future, "queue_full")
            return
        began = time.perf_counter()
        opened = wire.open_call(call.function, call.sealed, self._keyring)
        kind, answer, _ = wire.run_call(call.local, opened.codec, opened.body)
        run_seconds = time.perf_counter() - began
        if kind not in ("value", "error"):
            self._outcomes.run_here(future, why_of(kind))
            return
        sealed = wire.seal_outcome(call.function, opened.codec, kind, answer, opened.digest, self._keyring)
        try:
            outcome = wire.decode_outcome(wire.open_outcome(call.function, sealed, call.digest, self._keyring))
        except Undecodable:
            self._outcomes.run_here(future, "undecodable")
            return
        info = Info("remote", worker=WORKER, version=version_of(call.function), attempts=1, run_seconds=run_seconds)
        if isinstance(outcome, wire.Raised):
            future.settle(info, error=outcome.exception)
        else:
            future.settle(info, value=outcome.value)
