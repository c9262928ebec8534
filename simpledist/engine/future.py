"""One call and its outcome: a concurrent.futures.Future that can also be awaited.

The listener thread only hands over what came (`offer`). The bytes are decoded by a thread that waits in `result()`, or,
where none waits, by the resolvers, so that callbacks, `wait`, `as_completed` and `await` work as with any future. What
a future needs done it asks of its `Owner`.

Fields below `_condition` (the stdlib's own lock) are written under it only. The stdlib holds it in `wait` and
`as_completed` too, and a signal handler may interrupt it there; so a thread that hands over an outcome does not wait
for it (`offer`), and a question that is asked within such a moment is answered without it (at_once.py).
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
from typing import Any, Generic, TypeVar

from simpledist import policy
from simpledist.engine import callbacks, done, locks
from simpledist.engine.call import Call
from simpledist.engine.fork_and_exit import Process
from simpledist.engine.inside import is_inside, run_outside, thread
from simpledist.engine.moments import LONGEST_WAIT_SECONDS, NEVER, OVERDUE_SECONDS, after
from simpledist.engine.protocols import Carrier, Owner
from simpledist.engine.ready import Read, Ready, RunHere
from simpledist.engine.state import state_of
from simpledist.job import Info

R = TypeVar("R")

_DONE = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")  # `done()` would take the lock once more


class Future(concurrent.futures.Future[R], Generic[R]):
    """The outcome of one call, now or later; `info` tells where it came from."""

    # How each one begins. Attributes of the class: one is created for each call.
    info: Info | None = None
    sent, kept_out = False, False  # submitted once: Redis may know it; ... but it entered nothing the last time
    on_worker = False  # a worker had it when Redis was last asked
    forgotten, forgotten_at = 0, float("-inf")  # how often Redis knew it no more, and when last
    joined = False  # it waits for the job of an identical call
    batch: Carrier | None = None  # in which it travels
    settled_by = 0  # the thread that made it done and runs its callbacks
    runner = 0  # the thread that runs it here
    unnotified = False  # cancelled by an interruption: callbacks and waiters do not know it yet
    ready: Ready | None = None  # what came of the call, and is still to be settled
    _settling, _getters, _has_callbacks = False, 0, False

    def __init__(self, call: Call, owner: Owner, *, caller_runs: bool) -> None:
        super().__init__()
        if locks.CHECKED:
            self._condition = locks.condition("future")
        self._lock: locks.Reentrant = self._condition._lock  # type: ignore[attr-defined]
        self.call = call
        self.caller_runs = caller_runs  # a plain call: its own thread waits, decodes and, if need be, runs the function
        self._owner, self._pid = owner, Process.id

    def result(self, timeout: float | None = None) -> R:
        """Return the value, or raise the exception that the function raised; TimeoutError after `timeout` seconds.

        Asked by a signal handler or finaliser that interrupts this library, for a call that is not done: the function
        is run here, at once.
        """
        if self._state != "FINISHED" and not self._waited(timeout):
            return self._owner.run_at_once(self)
        return self.finished_result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the exception that the function raised, or None; raise TimeoutError after `timeout` seconds."""
        if self._state != "FINISHED" and not self._waited(timeout):
            return self._owner.raised_at_once(self)
        if self._state != "FINISHED":
            raise concurrent.futures.CancelledError
        return self._exception

    def _waited(self, timeout: float | None) -> bool:
        """Return True once the call is done; False where this thread must not wait for it."""
        if self._interrupts():
            return False
        with thread.mark:
            try:
                if not self._settle(timeout):
                    raise concurrent.futures.TimeoutError
                return True
            except locks.Held:
                return False

    def _interrupts(self) -> bool:
        """Return whether this thread works for us already, or holds this future's lock, or runs this very call."""
        return is_inside() or locks.owns(self._lock) or self.runner == threading.get_ident()

    def outcome(self) -> R:
        """Return `result()` to code of ours, which is inside already."""
        if self._state != "FINISHED":
            try:
                self._settle(None)
            except locks.Held:
                return self._owner.run_at_once(self)
        return self.finished_result()

    def finished_result(self) -> R:
        """Return the value of a future that is done, or raise its exception. Takes no lock."""
        if self._state != "FINISHED":
            raise concurrent.futures.CancelledError
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                del self  # the traceback would keep it, and it the exception
        return self._result  # type: ignore[return-value]

    def wait_done(self, timeout: float | None = None) -> bool:
        """Wait until the call has an outcome, whatever it is, or for `timeout` seconds; return whether it has one."""
        with thread.mark, contextlib.suppress(locks.Held):
            self._settle(timeout)
        return self.done()

    def cancel(self) -> bool:
        """Cancel the call: a queued one is removed, of one that runs on a worker the child is stopped within a second.

        Returns False once the call has ended or runs in this process. A future of `client.executor()` keeps the
        stdlib's rule: False as soon as it runs anywhere.
        """
        if self._state in _DONE:
            return self.cancelled()
        if self._interrupts():
            return self._owner.cancel(self, interrupting=True)
        with thread.mark:
            return self._owner.cancel(self, interrupting=False)

    def done(self) -> bool:
        """Return whether the call has an outcome, or was cancelled. Takes no lock, nor do `cancelled` and `running`."""
        return self._state in _DONE

    def cancelled(self) -> bool:
        return self._state != "FINISHED" and self._state in _DONE

    def running(self) -> bool:
        """Return whether the call runs, at its client or on a worker; of a worker it is known up to a second late."""
        on_worker = self.on_worker if self.batch is None else self.batch.whole.on_worker
        return self._state == "RUNNING" or (on_worker and self._state not in _DONE)

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:  # type: ignore[override]
        """Call `fn` with this future when it is done; as the stdlib's, in whichever thread that is."""
        with self._lock:
            if self._state not in _DONE:
                self._has_callbacks = True
                self._done_callbacks.append(fn)  # type: ignore[attr-defined]
                return
        callbacks.run(self, fn)

    def __repr__(self) -> str:
        return f"<simpledist future of {self.call.made.spec.function}, job {self.call.id}: {state_of(self)}>"

    def _repr_html_(self) -> str:
        html = import_module("simpledist.engine.html")
        return html.of_call(self.call, state_of(self), self.info, outcome=self._exception or self._result)

    def __await__(self) -> Generator[Any, None, R]:
        return import_module("simpledist.engine.awaiting").awaited(self)

    def arrive(self, read: Read) -> None:
        """Take an outcome that was read with others'; callbacks, which may block, are left to the resolvers."""
        if not self._condition.acquire(blocking=False):
            self._owner.deferred.put(partial(self.settle, read))
            return
        try:
            if self._state in _DONE:
                return
            if at_once := not self._has_callbacks:
                self._end(read)
        finally:
            self._condition.release()
        if at_once:
            self.call.has_ended(self)
        else:
            self.offer(read)

    def offer(self, ready: Ready) -> None:
        """Hand over what came of the call; the right thread goes on from there. Waits for no lock."""
        if not self._condition.acquire(blocking=False):
            self._owner.deferred.put(partial(self._offer, ready))
            return
        try:
            elsewhere = self._accepts(ready)
        finally:
            self._condition.release()
        if elsewhere:
            self._owner.settle_elsewhere(self, ready)

    def _offer(self, ready: Ready) -> None:
        """Do the same in a thread that may wait."""
        with self._lock:
            elsewhere = self._accepts(ready)
        if elsewhere:
            self._owner.settle_elsewhere(self, ready)

    def _accepts(self, ready: Ready) -> bool:
        """Take what came; return whether no thread waits that would go on with it."""
        if self._state in _DONE or self.ready is not None:
            return False
        self.ready = ready
        if (self._getters or self.caller_runs) and self._condition._waiters:  # type: ignore[attr-defined]
            self._condition.notify_all()
        return not (self.caller_runs or (self._getters and not isinstance(ready, RunHere)))

    def leave(self, ready: RunHere) -> None:
        """Do the same for a new call, from an interruption: the first thread that asks runs it."""
        self.caller_runs = True
        self.ready = ready

    def anyone_runs(self) -> None:
        """Let the next thread that asks run the call: none can be started for it. Waits for no lock."""
        self.caller_runs = True
        if self._condition.acquire(blocking=False):
            self._condition.notify_all()
            self._condition.release()

    def begin(self) -> bool:
        """Take it for a local run, in a thread that others wait for; return False if another has it. Raises Held."""
        if not self._condition.acquire(timeout=locks.HELD_SECONDS / 10):
            raise locks.Held
        try:
            if self.ready is None or self._settling or self._state != "PENDING":
                return False
            self._settling, self._state = True, "RUNNING"
            return True
        finally:
            self._condition.release()

    def take(self) -> Ready | None:
        """Return what is to be settled, to the one thread that gets it."""
        with self._lock:
            if self.ready is None or self._settling or self._state in _DONE:
                return None
            self._settling = True
            return self.ready

    def put_back(self, ready: Ready | None) -> None:
        """Undo `take`: `ready` is to be done instead (None: the call is on its way again)."""
        # No lock: only who took it writes these, in this order.
        self.ready = None
        self._settling = False
        if ready is not None:
            self.offer(ready)

    def resolve(self) -> bool:
        """Bring what came to its outcome, in this thread; return False where there is nothing, or another does it."""
        if (ready := self.take()) is None:
            return False
        try:
            if (read := self._owner.read(self, ready)) is not None:
                self.settle(read)
        except BaseException as error:
            if not self._owner.recovers(self, ready, error):
                raise
        return True

    def settle_soon(self, read: Read) -> None:
        """Settle it in a thread that others wait for: what may block there is left to a resolver."""
        blocks = self._has_callbacks or self._waiters or not self._condition.acquire(blocking=False)
        if blocks and self._owner.deferred.attended():
            self._owner.deferred.put(partial(self.settle, read))
            return
        try:
            self.settle(read)
        finally:
            if not blocks:
                self._condition.release()

    def settle(self, read: Read) -> None:
        """Give the future its one outcome. Nothing happens if it was cancelled meanwhile."""
        try:
            self._end(read)
        except concurrent.futures.InvalidStateError:
            return
        except BaseException:  # Ctrl-C in a callback: this call is done all the same
            self.call.has_ended(self)
            raise
        self.call.has_ended(self)

    def _end(self, read: Read) -> None:
        with self._lock:
            if self._state in _DONE:
                raise concurrent.futures.InvalidStateError
            self.info = read.info
            self.settled_by = threading.get_ident()
            done.finish(self, read.outcome)
        self._invoke_callbacks()
        self.call.end()  # last: until it is done an interruption may run it

    def call_off(self) -> bool:
        """Cancel for good, by an interruption, if nothing came yet; who waits hears of it later (`give_up`)."""
        if not self._condition.acquire(timeout=locks.HELD_SECONDS / 10):
            return False
        try:
            waits = self.ready is None or isinstance(self.ready, RunHere)
            if self._state != "PENDING" or not waits or self._settling:
                return False
            self._state, self.ready, self.unnotified = "CANCELLED", None, True
            self._condition.notify_all()
            return True
        finally:
            self._condition.release()

    def give_up(self) -> bool:
        """Cancel for good, if nothing came yet; wake the threads that wait."""
        with self._lock:
            if not self.unnotified and (self.ready is not None or self._state != "PENDING"):
                return False
            self.unnotified = False
            self._state = "CANCELLED"
            self._condition.notify_all()
            # Those who wait by `wait` or `as_completed` have locks of their own, which it may have interrupted.
            elsewhere = bool(self._waiters) and not thread.ours
        if elsewhere:
            self._owner.deferred.put(self._tell_cancelled)
        else:
            self._tell_cancelled()
        return True

    def _tell_cancelled(self) -> None:
        self.settled_by = threading.get_ident()
        self._invoke_callbacks()
        self.call.end()
        with self._lock:
            done.notify_cancelled(self)
        self.call.has_ended(self)

    def _invoke_callbacks(self) -> None:
        if self._has_callbacks:  # code of the user's
            run_outside(partial(callbacks.run_all, self))

    def _inherit(self) -> None:
        """Begin again in the child of a fork, where our lock may be held for ever: run the call when asked."""
        self._pid = os.getpid()
        if self._state not in ("PENDING", "RUNNING"):
            return
        self._condition = locks.condition("future")
        self._lock = locks.lock_of(self._condition)
        self._owner = self._owner.heir()
        self.sent, self.batch = False, None
        self._getters, self._settling = 0, False
        self.caller_runs, self.ready = True, RunHere("closed")

    def _settle(self, timeout: float | None) -> bool:
        """Return whether the call has an outcome, within the time. Raises Held."""
        if self._pid != os.getpid():  # not Process.id: C code may fork and Python not know of it
            self._inherit()
        outer = locks.owns(self._lock)  # by the code that this thread has interrupted
        try:
            return self._waited_for(timeout, outer=outer)
        except BaseException:
            if not outer:
                locks.let_go(self._lock)  # Ctrl-C may come before the line that does
            raise

    def _waited_for(self, timeout: float | None, *, outer: bool) -> bool:
        end = NEVER if timeout is None else after(timeout)
        overdue = NEVER if self.call.deadline is None else self.call.deadline + OVERDUE_SECONDS
        while True:
            try:
                if not self._condition.acquire(timeout=locks.HELD_SECONDS):
                    raise locks.Held
                self._getters += 1
                try:
                    while self._state not in _DONE:
                        # A thread of ours that asks is perhaps the one that would run it.
                        mine = self.caller_runs or thread.ours or not isinstance(self.ready, RunHere)
                        if self.ready is not None and mine and not self._settling:
                            break
                        now = time.monotonic()
                        if end <= now:
                            return False
                        until = min(end, overdue if self.ready is None else NEVER)
                        if until <= now:
                            break
                        seconds = min(until - now, LONGEST_WAIT_SECONDS)
                        if threading.current_thread() is threading.main_thread():
                            seconds = min(seconds, policy.INTERRUPT_SECONDS)
                        self._condition.wait(seconds)
                    else:
                        return True
                finally:
                    self._getters -= 1
            finally:
                if outer or locks.owns(self._lock):  # Ctrl-C may come while the condition has let go of it
                    self._condition.release()
            if self.resolve():
                if self._state in _DONE:
                    return True
            elif time.monotonic() >= overdue:
                self._owner.overdue(self)
