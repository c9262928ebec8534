"""One call and its outcome: a concurrent.futures.Future that can also be awaited.

The listener thread only hands over what came (`offer`); the bytes are decoded by a thread that waits in `result()`, or,
where none waits, by the resolvers, so that callbacks, `wait`, `as_completed` and `await` work as with any future.

Fields below `_condition` (the stdlib's own lock) are written under it only. The stdlib holds it in `wait` and
`as_completed` too, and a signal handler may interrupt it there; so whoever hands over an outcome does not wait for it
(`offer`), and what is asked of a future from within such a moment is answered beside it (beside.py).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simpledist import wire
from simpledist.client import callbacks
from simpledist.client.call import Call, Read, Ready, RunHere
from simpledist.client.inside import is_inside, run_outside, thread
from simpledist.job import Info, State

if TYPE_CHECKING:
    from simpledist.client.bundle import Bundle
    from simpledist.client.outcomes import Outcomes

R = TypeVar("R")

_DONE = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")  # `done()` would take the lock once more

# A signal that comes in the moment before the main thread blocks on a lock does not interrupt it: CPython looks for
# signals, lets go of the GIL, perhaps for milliseconds on a busy machine, and only then blocks. So Ctrl-C is looked for
# again after this time.
INTERRUPT_SECONDS = 1.0
# Who waits for a call ends its remote budget itself so long after the listener should have, which may be held up by a
# Redis that hangs.
OVERDUE_SECONDS = 1.5
_CENTURIES = 1e12
LONGEST_WAIT_SECONDS = 1e6  # a lock refuses waits of some centuries, and of some weeks on other systems: wait again
# The lock of a future is held for microseconds, unless what holds it waits for this very thread.
HELD_SECONDS = 1.0


class Held(Exception):
    """Another thread holds the future's lock, and perhaps waits for what this one has interrupted."""


def wait_for(condition: threading.Condition, predicate: Callable[[], bool]) -> None:
    """Return once it holds; the caller has the condition's lock, and Ctrl-C gets through."""
    while not condition.wait_for(predicate, INTERRUPT_SECONDS):
        pass


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
        self.runner = 0  # the thread that runs it here
        self._untold = False  # cancelled by an interruption: its callbacks and waiters are still to be told
        self._outcomes = outcomes
        self._pid = os.getpid()
        self._owned: Callable[[], bool] = self._condition._is_owned  # type: ignore[attr-defined]
        # A plain call: its own thread waits, decodes and, if need be, runs the function.
        self.caller_runs = caller_runs
        self._ready: Ready | None = None
        self._settling = False
        self._getters = 0
        self._has_callbacks = False

    def result(self, timeout: float | None = None) -> R:
        """The value, or the exception that the function raised; TimeoutError after `timeout` seconds.

        Asked by a signal handler or finaliser that interrupts this library, for a call that is not done: the function
        is run here, at once.
        """
        if self._state != "FINISHED" and not self._waited(timeout):
            return self._outcomes.run_beside(self)
        return self.told()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception that the function raised, or None; TimeoutError after `timeout` seconds."""
        if self._state != "FINISHED" and not self._waited(timeout):
            try:
                self._outcomes.run_beside(self)
            except concurrent.futures.CancelledError:
                raise
            except BaseException as raised:  # noqa: BLE001 - it is the outcome
                return raised
            return None
        if self._state != "FINISHED":
            raise concurrent.futures.CancelledError
        return self._exception

    def _waited(self, timeout: float | None) -> bool:
        """Return True once the call is done; False where this thread must not wait for it."""
        if self._interrupts():
            return False
        thread.inside = True
        try:
            self._settle(timeout)
            return True
        except Held:
            return False
        finally:
            thread.inside = False

    def _interrupts(self) -> bool:
        """Whether this thread works for us already, or holds this future's lock, or runs this very call."""
        return (thread.inside and is_inside()) or self._owned() or self.runner == threading.get_ident()

    def outcome(self) -> R:
        """`result()` for code of ours, which is inside already."""
        if self._state != "FINISHED":
            try:
                self._settle(None)
            except Held:
                return self._outcomes.run_beside(self)
        return self.told()

    def told(self) -> R:
        """What a future that is done has to give. Takes no lock."""
        if self._state != "FINISHED":
            raise concurrent.futures.CancelledError
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                del self  # the traceback would keep it, and it the exception
        return self._result  # type: ignore[return-value]

    def wait_done(self, timeout: float | None = None) -> bool:
        """Return once the call has its outcome, whatever it is, or after `timeout` seconds; whether it has."""
        was, thread.inside = thread.inside and is_inside(), True
        try:
            with contextlib.suppress(concurrent.futures.TimeoutError, Held):
                self._settle(timeout)
        finally:
            thread.inside = was
        return self.done()

    def cancel(self) -> bool:
        """Give the call up: queued, it is gone; running on a worker, its child is stopped within a second.

        False once the call has ended or runs in this process. A future of `client.executor()` keeps the stdlib's rule:
        False as soon as it runs anywhere.
        """
        if self._state in _DONE:
            return self.cancelled()
        if self._interrupts():
            return self._outcomes.cancel_later(self)
        thread.inside = True
        try:
            return self._outcomes.cancel(self)
        finally:
            thread.inside = False

    def done(self) -> bool:
        """Whether the call has its outcome, or was cancelled. Takes no lock, nor do `cancelled` and `running`."""
        return self._state in _DONE

    def cancelled(self) -> bool:
        return self._state != "FINISHED" and self._state in _DONE

    def running(self) -> bool:
        """Whether the call runs, here or on a worker; of a worker it is known up to a second late."""
        on_worker = self.on_worker if self.bundle is None else self.bundle.whole.on_worker
        return self._state == "RUNNING" or (on_worker and self._state not in _DONE)

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
            rows.append(("value", html.code(self._result)))
        elif state == "failed":
            rows.append(("raised", html.code(self._exception)))
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
        return "failed" if self._exception is not None else "succeeded"

    def __await__(self) -> Generator[Any, None, R]:
        return import_module("simpledist.client.awaiting").awaited(self)

    # --- between listener, resolvers and waiting threads ---------------------------------------------------------

    def arrive(self, outcome: wire.Value | wire.Raised, info: Info) -> None:
        """Its outcome was read with others'; callbacks, which may block, are left to the resolvers."""
        if not self._condition.acquire(blocking=False):
            self._outcomes.deferred.put(partial(self.settle, info, outcome))
            return
        try:
            if self._state in _DONE:
                return
            at_once = not self._has_callbacks
            if at_once:
                self._end(info, outcome)
        finally:
            self._condition.release()
        if not at_once:
            self.offer(Read(outcome, info))
        elif self.call.promises is not None:
            self.call.promises.keep(self)

    def offer(self, ready: Ready) -> None:
        """Hand over what came of the call; whoever is right for it goes on from there. Waits for no lock."""
        if not self._condition.acquire(blocking=False):
            self._outcomes.deferred.put(partial(self._offer, ready))
            return
        try:
            elsewhere = self._accepts(ready)
        finally:
            self._condition.release()
        if elsewhere:
            self._outcomes.settle_elsewhere(self, ready)

    def _offer(self, ready: Ready) -> None:
        """The same, in a thread that may wait."""
        with self._condition:
            elsewhere = self._accepts(ready)
        if elsewhere:
            self._outcomes.settle_elsewhere(self, ready)

    def _accepts(self, ready: Ready) -> bool:
        """Take what came; whether nobody waits who would go on with it."""
        if self._state in _DONE or self._ready is not None:
            return False
        self._ready = ready
        if self._getters or self.caller_runs:
            self._condition.notify_all()
        return not (self.caller_runs or (self._getters and not isinstance(ready, RunHere)))

    def leave(self, ready: RunHere) -> None:
        """The same for a call that nobody knows yet, from an interruption: whoever asks first runs it."""
        self.caller_runs = True
        self._ready = ready

    def anyone_runs(self) -> None:
        """No thread can be started for it: whoever asks for the outcome runs the call. Waits for no lock."""
        self.caller_runs = True
        if self._condition.acquire(blocking=False):
            self._condition.notify_all()
            self._condition.release()

    def begin(self) -> bool:
        """Take it for a local run, in a thread that others wait for; False: it is another's. Raises Held."""
        if not self._condition.acquire(timeout=HELD_SECONDS / 10):
            raise Held
        try:
            if self._ready is None or self._settling or self._state != "PENDING":
                return False
            self._settling, self._state = True, "RUNNING"
            return True
        finally:
            self._condition.release()

    def take(self) -> Ready | None:
        """What is to be settled, for the one thread that gets it."""
        with self._condition:
            if self._ready is None or self._settling or self._state in _DONE:
                return None
            self._settling = True
            return self._ready

    def put_back(self, ready: Ready | None) -> None:
        """What was taken came to nothing: `ready` is to be done instead (None: the call is on its way again)."""
        # No lock: only who took it writes these, in this order.
        self._ready = None
        self._settling = False
        if ready is not None:
            self.offer(ready)

    def settle_soon(self, info: Info, outcome: wire.Value | wire.Raised) -> None:
        """`settle` in a thread that others wait for: what may block there is left to a resolver."""
        blocks = self._has_callbacks or self._waiters or not self._condition.acquire(blocking=False)
        if blocks and self._outcomes.deferred.attended():
            self._outcomes.deferred.put(partial(self.settle, info, outcome))
            return
        try:
            self.settle(info, outcome)
        finally:
            if not blocks:
                self._condition.release()

    def settle(self, info: Info, outcome: wire.Value | wire.Raised) -> None:
        """The one outcome. Nothing happens if the future was cancelled meanwhile."""
        try:
            self._end(info, outcome)
        except concurrent.futures.InvalidStateError:
            return
        except BaseException:  # Ctrl-C in a callback: this call is done all the same
            self.call.keep_promise(self)
            raise
        self.call.keep_promise(self)

    def _end(self, info: Info, outcome: wire.Value | wire.Raised) -> None:
        with self._condition:
            if self._state in _DONE:
                raise concurrent.futures.InvalidStateError
            self.info = info
            self.settled_by = threading.get_ident()
        if isinstance(outcome, wire.Raised):
            self.set_exception(outcome.exception)
        else:
            self.set_result(outcome.value)
        self.call.end()  # last: until it is done an interruption may run it

    def call_off(self) -> bool:
        """Cancelled for good by an interruption, if nothing came yet; who waits is told later (`give_up`)."""
        if not self._condition.acquire(timeout=HELD_SECONDS / 10):
            return False
        try:
            waits = self._ready is None or isinstance(self._ready, RunHere)
            if self._state != "PENDING" or not waits or self._settling:
                return False
            self._state, self._ready, self._untold = "CANCELLED", None, True
            self._condition.notify_all()
            return True
        finally:
            self._condition.release()

    @property
    def untold(self) -> bool:
        """Whether it was called off, and nobody was told yet."""
        return self._untold

    @property
    def ready(self) -> Ready | None:
        """What came of the call, and is still to be settled."""
        return self._ready

    def give_up(self) -> bool:
        """Cancelled for good, if nothing came yet; wakes whoever waits."""
        with self._condition:
            if not self._untold and (self._ready is not None or self._state != "PENDING"):
                return False
            self._untold = False
            self._state = "CANCELLED"
            self._condition.notify_all()
            # Those who wait by `wait` or `as_completed` have locks of their own, which it may have interrupted.
            elsewhere = bool(self._waiters) and not thread.ours
        if elsewhere:
            self._outcomes.deferred.put(self._tell_cancelled)
        else:
            self._tell_cancelled()
        return True

    def _tell_cancelled(self) -> None:
        self.settled_by = threading.get_ident()
        self._invoke_callbacks()
        self.call.end()
        self.set_running_or_notify_cancel()
        self.call.keep_promise(self)

    def _invoke_callbacks(self) -> None:
        if self._has_callbacks:  # code of the user's
            run_outside(partial(callbacks.run_all, self))

    def _inherit(self) -> None:
        """In the child of a fork: another thread may have held our lock; the call is run by whoever asks for it."""
        self._pid = os.getpid()
        if self._state not in ("PENDING", "RUNNING"):
            return
        self._condition = type(self._condition)()
        self._owned = self._condition._is_owned  # type: ignore[attr-defined]
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
            if not self._condition.acquire(timeout=HELD_SECONDS):
                raise Held
            try:
                self._getters += 1
                try:
                    while self._state not in _DONE:
                        # A thread of ours that asks is perhaps the one that would run it.
                        mine = self.caller_runs or thread.ours or not isinstance(self._ready, RunHere)
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
            finally:
                self._condition.release()
            ready = self.take()
            if ready is not None:
                self._outcomes.settle(self, ready)
            elif time.monotonic() >= overdue:
                self._outcomes.fall_back(self, "timeout")
