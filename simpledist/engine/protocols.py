"""Engine and batch as a future knows them, and the listener as submit.py does: the methods that bring a call on.

Protocols, so that future.py and submit.py import neither the engine nor batches nor the listener.
"""

from __future__ import annotations

from typing import Any, Protocol

from simpledist.engine.deferred import Deferred
from simpledist.engine.ready import Read, Ready


class Owner(Protocol):
    """The part of the engine that owns a call. calls.py is the one that does. Each method is given the future."""

    @property
    def deferred(self) -> Deferred:
        """Return where a thread leaves what it cannot do itself."""
        ...

    def read(self, future: Any, ready: Ready) -> Read | None:
        """Return the outcome of a future that this thread has taken; None where it has to wait for another one."""
        ...

    def recovers(self, future: Any, ready: Ready, error: BaseException) -> bool:
        """Give back a future whose `read` or end has failed; return False where the error is to be raised."""
        ...

    def settle_elsewhere(self, future: Any, ready: Ready) -> None:
        """Have another thread do it: no thread waits for this future."""
        ...

    def cancel(self, future: Any, *, interrupting: bool) -> bool:
        """Cancel the call; return whether it is cancelled. `interrupting`: this thread waits for nothing."""
        ...

    def overdue(self, future: Any) -> None:
        """Run the call at its client: its remote budget is spent."""
        ...

    def run_at_once(self, future: Any) -> Any:
        """Return the outcome to an interruption, which waits for nothing."""
        ...

    def raised_at_once(self, future: Any) -> BaseException | None:
        """Return the exception of that outcome, or None for a value; raise CancelledError."""
        ...

    def heir(self) -> Owner:
        """Return who takes over in the child of a fork."""
        ...


class Carrier(Protocol):
    """The batch in which a call travels."""

    @property
    def whole(self) -> Any:
        """Return the future of the batch's job."""
        ...


class Listener(Protocol):
    """The thread that reads replies, of listener.py."""

    def wake(self) -> None:
        """Have it look at once for what it is to send."""
        ...

    def lead(self, future: Any) -> bool:
        """Submit a plain call in its own thread; return False where it is to be submitted as any other."""
        ...
