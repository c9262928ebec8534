"""Calls with big arguments for which no thread waits: their bytes go to Redis in slices, then the call as any other.

The listener leaves them here, for it has replies to read and must not stand still. One thread, while there are any.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from simpledist import policy
from simpledist.buffers import Data
from simpledist.engine import locks
from simpledist.engine.envelopes import Envelopes
from simpledist.engine.events import Event, Home, Overdue, Sent
from simpledist.engine.future import Future
from simpledist.engine.inside import started
from simpledist.engine.session import Session
from simpledist.engine.unsent import Unsent
from simpledist.errors import RedisDown, RedisRefused, Undeliverable

log = logging.getLogger("simpledist")


class BigCalls:
    """Those whose bytes are on their way. `_waiting` and `_at_work` are touched under `_lock`.

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
        self._at_work = False
        self._there: set[str] = set()  # the jobs whose bytes lie in Redis, and which are to be submitted

    def small_of(self, futures: Sequence[Future[Any]]) -> list[Future[Any]]:
        """Return those that may be submitted now; the others come back when their bytes lie in Redis."""
        small: list[Future[Any]] = []
        for future in futures:
            if len(future.call.body) <= policy.BESIDE_BYTES - policy.HEAD_BYTES or future.call.id in self._there:
                small.append(future)
            else:
                self._put(future)
        return small

    def _put(self, future: Future[Any]) -> None:
        future.sent = False  # Redis need not know it
        self._apply(Sent([future]))
        with self._lock:
            self._waiting.append(future)
            idle, self._at_work = not self._at_work, True
        if idle and not started(self._work, name="simpledist-big"):
            self._work()

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
            try:
                self._bring(future)
            except BaseException:
                log.exception("job %s: its arguments could not be sent", future.call.id)
                self._apply(Home(future, "undeliverable"))
            del future

    def _bring(self, future: Future[Any]) -> None:
        call = future.call
        if future.done():
            return
        try:
            self._session.put_beside(call.id, self._envelopes.seal(call), until=call.deadline)
        except TimeoutError:
            self._apply(Overdue(future))
        except Undeliverable as error:
            self._session.note_undeliverable(call.spec.function, error)
            self._apply(Home(future, "undeliverable"))
        except (RedisDown, RedisRefused):
            future.sent = True  # it waits for Redis as those do that are in flight: then it is asked after
            self._session.wake()
        else:
            self._there.add(call.id)
            if not future.done():
                self._unsent.put(future, self._session.wake)
