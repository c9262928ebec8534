"""What is known of one call, and what may come of it before it is settled.

Enough to send a call, to send it again, and to run it here. Knows no future, no connection and no thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simpledist import wire
from simpledist.broker.records import Reply
from simpledist.buffers import Data
from simpledist.client import snapshot
from simpledist.job import Info, Why

if TYPE_CHECKING:
    from simpledist.client.bundle import Bundle
    from simpledist.client.promises import Promises
    from simpledist.client.sharing import Sharing


class _Here(threading.local):
    """How many local runs this thread is inside of: in each of them it may wait for calls that it makes there."""

    depth = 0


here = _Here()


@dataclass(frozen=True, slots=True)
class RunHere:
    """The reason why a call comes back to be run by its client."""

    why: Why


@dataclass(frozen=True, slots=True)
class Read:
    """An outcome that was read together with others'."""

    outcome: wire.Value | wire.Raised
    info: Info


@dataclass(slots=True, eq=False)
class Call:
    """What is known of a call from its beginning: enough to send it, to send it again, and to run it here.

    Not frozen, because that would make it three times as dear, and there is one a call.
    """

    id: str  # of its job; of a call that is the slow one of a chunk, the chunk's
    function: str  # qualified name
    local: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    codec: str
    fingerprint: str  # of the function's code
    body: Data  # its encoded arguments
    began: float  # time.monotonic()
    deadline: float | None  # time.monotonic() at which the remote budget is spent
    max_queue: int | None
    lends: bool = False  # a plain call: its caller waits, so the arguments stay as they are
    promises: Promises | None = None  # of the executor whose call it is
    crashes: int = 0  # children that it has killed before it was sent
    calls: int = 1  # of a chunk: how many
    sharing: Sharing | None = None  # whoever makes the same call may have its outcome
    address: bytes | None = None  # then: its content address
    bundle: Bundle | None = None  # of a chunk that was put together from single submits
    python: str = ""  # the minor version that can read it, where no other one can
    part: int | None = None  # its outcome is this part of a chunk's
    depth: int = field(default_factory=lambda: here.depth)  # of the local run that makes it
    anew: bool = False  # the value that is kept for it is too old
    # Once it was sealed (envelopes.py):
    nonce: bytes = b""
    digest: bytes = b""  # what its outcome must carry
    asked_at: float = 0.0  # clock.moment() of the first time
    sealed_at_ms: int = 0  # of the last time, by Redis' clock

    @property
    def label(self) -> str:
        """How `submit` names the job."""
        if self.sharing is None:
            return self.id
        return self.sharing.label(self.id, (self.address or b"").hex(), anew=self.anew)

    def given(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """With what it is run here: its arguments as they were when it was made."""
        if self.lends:
            return self.args, self.kwargs
        if self.calls > 1 and self.args:
            local, calls = self.args
            return (local, snapshot.given_calls(self.codec, self.body, calls)), {}
        return snapshot.given(self.codec, self.body, self.local, self.args, self.kwargs)

    def sent(self) -> snapshot.Sent | None:
        """What another process is given to run it; None: the arguments themselves."""
        if self.lends or self.calls > 1 or not len(self.body) or snapshot.unchanging(self.args, self.kwargs):
            return None
        return snapshot.Sent(self.codec, bytes(self.body))

    def keep_promise(self, future: Any) -> None:
        """Tell the executor that took the call, if one did, that all is done."""
        if self.promises is not None:
            self.promises.keep(future)

    def end(self) -> None:
        """Let go of what was needed to run it: whoever keeps the future does not keep the arguments."""
        self.args, self.kwargs, self.body = (), {}, b""


Ready = Reply | Read | RunHere  # what came of a call, and is to be settled
