"""One call and its outcome: a concurrent.futures.Future that can also be awaited.

The listener thread only hands over what came (`offer`); the bytes are decoded by a thread that waits in `result()`, or,
where none waits, by the resolvers, so that callbacks, `wait`, `as_completed` and `await` work as with any future.

Fields below `_condition` (the stdlib's own lock) are touched under it only.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simpledist import wire
from simpledist.broker.records import Reply
from simpledist.job import Info, State, Why
from simpledist.pieces import Data

if TYPE_CHECKING:
    from simpledist.client.bundle import Bundle
    from simpledist.client.outcomes import Outcomes
    from simpledist.client.promises import Promises
    from simpledist.client.sharing import Sharing

R = TypeVar("R")

_DONE = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")  # `done()` would take the lock once more


@dataclass(frozen=True, slots=True)
class RunHere:
    """The reason why a call comes back to be run by its client."""

    why: Why


# A signal that comes in the moment before the main thread blocks on a lock does not interrupt it: CPython looks for
# signals, lets go of the GIL, perhaps for milliseconds on a busy machine, and only then blocks. So Ctrl-C is looked for
# again after this time.
INTERRUPT_SECONDS = 1.0
# Who waits for a call ends its remote budget itself so long after the listener should have, which may be held up by a
# Redis that hangs.
OVERDUE_SECONDS = 1.5
_CENTURIES = 1e12
LONGEST_WAIT_SECONDS = 1e6  # a lock refuses waits of some centuries, and of some weeks on other systems: wait again


class _Here(threading.local):
    """How many local runs this thread is inside of: in each of them it may wait for calls that it makes there."""

    depth = 0


here = _Here()


def wait_for(condition: threading.Condition, predicate: Callable[[], bool]) -> None:
    """Return once it holds; the caller has the condition's lock, and Ctrl-C gets through."""
    while not condition.wait_for(predicate, INTERRUPT_SECONDS):
        pass


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

    def end(self) -> None:
        """Let go of what was needed to run it: whoever keeps the future does not keep the arguments."""
        self.args, self.kwargs, self.body = (), {}, b""


Ready = Reply | Read | RunHere  # what came of a call, and is to be settled


class Future(concurrent.futures.Future[R], Generic[R]):
    """The outcome of one call, now or later; `info` tells where it came from."""

    def __init__(self, call: Call, outcomes: Outcomes, *, caller_runs: bool) -> None:
        super().__init__()
        self.call = call
        self.info: Info | None = None
        self.sent = False  # submitted once: before that, Redis need not know it
        self.on_worker = False  # a worker had it when Redis was last asked
        self.forgotten, self.forgotten_at = 0, float("-inf")  # how often Redis knew it no more, and when last
        self.joined = False  # it waits for the job of an identical call
        self.bundle: Bundle | None = None  # in which it travels
        self.settled_by = 0  # the thread that made it done and runs its callbacks
        self._outcomes = outcomes
        self._pid = os.getpid()
        # A plain call: its own thread waits, decodes and, if need be, runs the function.
        self.caller_runs = caller_runs
        self._ready: Ready | None = None
        self._settling = False
        self._getters = 0
        self._has_callbacks = False

    def result(self, timeout: float | None = None) -> R:
        """The value, or the exception that the function raised; TimeoutError after `timeout` seconds."""
        if self._state != "FINISHED":
            self._settle(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception that the function raised, or None; TimeoutError after `timeout` seconds."""
        if self._state != "FINISHED":
            self._settle(timeout)
        return super().exception(0)

    def wait_done(self, timeout: float | None = None) -> bool:
        """Return once the call has its outcome, whatever it is, or after `timeout` seconds; whether it has."""
        with contextlib.suppress(concurrent.futures.TimeoutError):
            self._settle(timeout)
        return self.done()

    def cancel(self) -> bool:
        """Give the call up: queued, it is gone; running on a worker, its child is stopped within a second.

        False once the call has ended or runs in this process. A future of `client.executor()` keeps the stdlib's rule:
        False as soon as it runs anywhere.
        """
        return self._outcomes.cancel(self)

    def running(self) -> bool:
        """Whether the call runs, here or on a worker; of a worker it is known up to a second late."""
        on_worker = self.on_worker if self.bundle is None else self.bundle.whole.on_worker
        return super().running() or (on_worker and not self.done())

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:  # type: ignore[override]
        """Call `fn` with this future when it is done; as the stdlib's, in whichever thread that is."""
        with self._condition:
            self._has_callbacks = True
        super().add_done_callback(fn)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<simpledist future of {self.call.function}, job {self.call.id}: {self._state_word()}>"

    def _repr_html_(self) -> str:
        html = import_module("simpledist.client.html")
        state, info = self._state_word(), self.info
        rows: list[tuple[str, object]] = [("job", self.call.id), ("state", state)]
        if state == "succeeded":
            rows.append(("value", html.code(super().result(0))))
        elif state == "failed":
            rows.append(("raised", html.code(super().exception(0))))
        if info is not None:
            rows += [
                ("where", "here" if info.where == "local" else f"worker {info.worker}"),
                ("why", info.why),
                ("waited", f"{info.queued_seconds:.3g} s"),
                ("ran", f"{info.run_seconds:.3g} s"),
                ("attempts", info.attempts or None),
            ]
        return html.table(self.call.function, rows)

    def _state_word(self) -> State:
        if not self.done():
            return "running" if self.running() else "queued"
        if self.cancelled():
            return "cancelled"
        return "failed" if super().exception(0) is not None else "succeeded"

    def __await__(self) -> Generator[Any, None, R]:
        return import_module("asyncio").wrap_future(self).__await__()

    # --- between listener, resolvers and waiting threads ---------------------------------------------------------

    def arrive(self, outcome: wire.Value | wire.Raised, info: Info) -> None:
        """Its outcome was read with others'; callbacks, which may block, are left to the resolvers."""
        with self._condition:
            if self._state in _DONE:
                return
            at_once = not self._has_callbacks
            if at_once:
                self._end(info, outcome)
        if not at_once:
            self.offer(Read(outcome, info))
        elif self.call.promises is not None:
            self.call.promises.keep(self)

    def offer(self, ready: Ready) -> None:
        """Hand over what came of the call; whoever is right for it goes on from there."""
        with self._condition:
            if self._state in _DONE or self._ready is not None:
                return
            self._ready = ready
            if self.caller_runs or (self._getters and not isinstance(ready, RunHere)):
                self._condition.notify_all()
                return
        self._outcomes.settle_elsewhere(self, ready)

    def take(self) -> Ready | None:
        """What is to be settled, for the one thread that gets it."""
        with self._condition:
            if self._ready is None or self._settling or self._state in _DONE:
                return None
            self._settling = True
            return self._ready

    def put_back(self, ready: Ready | None) -> None:
        """What was taken came to nothing: `ready` is to be done instead (None: the call is on its way again)."""
        with self._condition:
            self._settling = False
            self._ready = None
        if ready is not None:
            self.offer(ready)

    def settle(self, info: Info, outcome: wire.Value | wire.Raised) -> None:
        """The one outcome. Nothing happens if the future was cancelled meanwhile."""
        try:
            self._end(info, outcome)
        except concurrent.futures.InvalidStateError:
            return
        if self.call.promises is not None:
            self.call.promises.keep(self)

    def _end(self, info: Info, outcome: wire.Value | wire.Raised) -> None:
        with self._condition:
            if self._state in _DONE:
                raise concurrent.futures.InvalidStateError
            self.info = info
            self.call.end()
            self.settled_by = threading.get_ident()
        if isinstance(outcome, wire.Raised):
            self.set_exception(outcome.exception)
        else:
            self.set_result(outcome.value)

    def give_up(self) -> bool:
        """Cancelled for good, if nothing came yet; wakes whoever waits."""
        with self._condition:
            if self._ready is not None or self.done():
                return False
            self.settled_by = threading.get_ident()
        cancelled = super().cancel()
        if cancelled:
            self.call.end()
            self.set_running_or_notify_cancel()
            if self.call.promises is not None:
                self.call.promises.keep(self)
        return cancelled

    def _inherit(self) -> None:
        """In the child of a fork: another thread may have held our lock; the call is run by whoever asks for it."""
        self._pid = os.getpid()
        if self._state not in ("PENDING", "RUNNING"):
            return
        self._condition = type(self._condition)()
        while self._outcomes.heir is not self._outcomes:
            self._outcomes = self._outcomes.heir
        self.sent = False
        self.bundle = None
        self._getters = 0
        self._settling = False
        self.caller_runs = True
        self._ready = RunHere("closed")

    def _settle(self, timeout: float | None) -> None:
        if self._pid != os.getpid():
            self._inherit()
        if timeout is not None and timeout != timeout:
            raise ValueError(f"timeout={timeout}: use a number of seconds, or None for no limit")
        end = None if timeout is None else time.monotonic() + min(timeout, _CENTURIES)
        overdue = float("inf") if self.call.deadline is None else self.call.deadline + OVERDUE_SECONDS
        while True:
            with self._condition:
                self._getters += 1
                try:
                    while self._state not in _DONE:
                        mine = self.caller_runs or not isinstance(self._ready, RunHere)
                        if self._ready is not None and mine and not self._settling:
                            break
                        remaining = None if end is None else end - time.monotonic()
                        if remaining is not None and remaining <= 0:
                            raise concurrent.futures.TimeoutError
                        if threading.current_thread() is threading.main_thread():
                            remaining = min(remaining or INTERRUPT_SECONDS, INTERRUPT_SECONDS)
                        if self._ready is None and overdue < float("inf"):
                            left = overdue - time.monotonic()
                            if left <= 0:
                                break
                            remaining = left if remaining is None else min(remaining, left)
                        self._condition.wait(None if remaining is None else min(remaining, LONGEST_WAIT_SECONDS))
                    else:
                        return
                finally:
                    self._getters -= 1
            ready = self.take()
            if ready is not None:
                self._outcomes.settle(self, ready)
            elif time.monotonic() >= overdue:
                self._outcomes.fall_back(self, "timeout")
