"""The state of a call, in the word that Redis, pages and docs have for it. Called where a future shows itself."""

from __future__ import annotations

from typing import Protocol

from simpledist.job import State


class Asked(Protocol):
    """What is asked of a future."""

    def done(self) -> bool: ...
    def running(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def exception(self) -> BaseException | None: ...


def state_of(future: Asked) -> State:
    """Return the state as it is now: no outcome is waited for."""
    if not future.done():
        return "running" if future.running() else "queued"
    if future.cancelled():
        return "cancelled"
    return "succeeded" if future.exception() is None else "failed"
