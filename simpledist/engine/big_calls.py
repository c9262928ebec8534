"""Calls with big arguments, an archive or a blob that Redis lacks, for which no thread waits: those go first.

The listener leaves them here, for it has replies to read and must not stand still. One thread, while there are any.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from simpledist import policy
from simpledist.buffers import Data
from simpledist.engine import locks
from simpledist.engine.call import Call
from simpledist.engine.envelopes import Envelopes
from simpledist.engine.events import Event, Home, Overdue, Sent
from simpledist.engine.future import Future
from simpledist.engine.inside import started
from simpledist.engine.session import Session
from simpledist.engine.unsent import Unsent
from simpledist.errors import BudgetSpent, RedisDown, RedisRefused, Undeliverable
from simpledist.printable import logger

log = logger("simpledist")


class BigCalls:
    """Those whose bytes are on their way. `_waiting`, `_awaited`, `_awaits` and `_at_work` are touched under `_lock`.

    `small_of` and `bytes_of` are called by the listener.
    """

    def __init__(
        self, session: Session, *, envelopes: Envelopes, unsent: Unsent, apply: Callable[[Event], None]
    ) -> None:
        self._session = session
        self._envelopes = envelopes
        self._unsent = unsent
        self._apply = apply
        self._lock = locks.lock("big calls")
        self._waiting: deque[Future[Any]] = deque()
        self._awaited: Counter[str] = (
            Counter()
        )  # archives and blobs, by how many of those that wait: later ones stay behind
        self._awaits: dict[Future[Any], tuple[str, ...]] = {}
        self._at_work = False
        self._there: set[str] = set()  # the jobs whose bytes lie in Redis, and which are to be submitted
        self._back: set[str] = set()  # the jobs that are in `unsent` again

    def small_of(self, futures: Sequence[Future[Any]]) -> list[Future[Any]]:
        """Return those that may be submitted now; the others come back when their bytes lie in Redis."""
        small: list[Future[Any]] = []
        for future in futures:
            id = future.call.id
            back = id in self._back
            if back:
                self._back.discard(id)
                self._await_no_more(future)
            if back or id in self._there or self._is_small(future.call):
                small.append(future)
            else:
                self._put(future)
        return small

    def _is_small(self, call: Call) -> bool:
        if self._awaited and any(name in self._awaited for name in call.needs()):
            return False
        return fits_beside(call) and self._session.uploads.has(call)

    def _put(self, future: Future[Any]) -> None:
        future.sent = False  # Redis need not know it
        self._apply(Sent([future]))
        with self._lock:
            self._waiting.append(future)
            names = self._awaits[future] = future.call.needs()
            self._awaited.update(names)
            idle, self._at_work = not self._at_work, True
        if idle and not started(self._work, name="simpledist-big", undo=self._at_rest):
            self._at_work = True
            self._work()

    def _at_rest(self) -> None:
        self._at_work = False

    def bytes_of(self, future: Future[Any]) -> Data | None:
        """Return what `submit` is to bring of this call: None where its bytes lie in Redis."""
        if future.call.id in self._there:
            self._there.discard(future.call.id)
            return None
        return self._envelopes.seal(future.call)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._at_work = False
                    return
                future = self._waiting.popleft()
            comes_back = False
            try:
                comes_back = self._bring(future)
            except BaseException as error:
                log.exception("job %s: its arguments could not be sent", future.call.id)
                self._apply(Home(future, "undeliverable", f"{type(error).__name__}: {error}"))
            if not comes_back:
                self._await_no_more(future)
            del future

    def _await_no_more(self, future: Future[Any]) -> None:
        with self._lock:
            names = self._awaits.pop(future, ())
            self._awaited.subtract(names)
            for name in names:
                if not self._awaited[name]:
                    del self._awaited[name]

    def _bring(self, future: Future[Any]) -> bool:
        """Bring what a call needs; return whether the listener has it again, and sends it."""
        call = future.call
        if future.done():
            return False
        try:
            self._session.provide(call)
            if not fits_beside(call):
                self._session.put_beside(call.id, self._envelopes.seal(call), until=call.deadline)
        except BudgetSpent:
            self._apply(Overdue(future))
        except Undeliverable as error:
            self._apply(Home(future, "undeliverable", str(error)))
        except (RedisDown, RedisRefused):
            future.sent = True  # it waits for Redis as those do that are in flight: then it is asked after
            self._session.wake()
        else:
            if not fits_beside(call):
                self._there.add(call.id)
            if not future.done():
                self._back.add(call.id)
                self._unsent.put(future, self._session.wake)
                return True
        return False


def fits_beside(call: Call) -> bool:
    """Return whether the bytes of a call travel with the script that submits it."""
    return len(call.body) <= policy.BESIDE_BYTES - policy.HEAD_BYTES
