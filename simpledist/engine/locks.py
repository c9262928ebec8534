"""The locks of a client and the order in which a thread may take them, and how a thread waits on one.

`ORDER` is the one place where the order stands. With SIMPLEDIST_LOCK_ORDER=1 in the environment each lock checks it
whenever a thread waits for the lock, and raises AssertionError; without it these functions return the stdlib's own
locks. A lock that is only tried, or waited for with a bound, cannot deadlock: it has no place in the order.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

from simpledist import policy

CHECKED = os.environ.get("SIMPLEDIST_LOCK_ORDER") == "1"

# A thread that holds one of these takes only locks that stand below it.
ORDER = (
    # future.py: the state of one call. First, for `concurrent.futures.wait` holds those of many calls together, and a
    # signal handler that comes then may make calls. A thread that holds another lock only tries this one.
    "future",
    "map batch",  # map_batch.py: the outcomes of a batch; calls are sent again under it
    "listener",  # engine.py: the start and the end of the listener
    "next slice turn",  # connection_lock.py: who sends or reads the slice after that
    "slice turn",  # connection_lock.py: who sends or reads the next slice of a big value
    "next turn",  # connection_lock.py: who uses the command connection next
    "command turn",  # connection_lock.py: who uses the command connection now
    "local runs",  # local.py: what waits for a local slot, and the threads that run it
    "resolvers",  # resolvers.py: what waits to be decoded, and the threads that decode it
    "pending",  # pending.py: what one executor has taken
    "flight",  # flight.py: the calls under way
    "batch",  # batch.py: how many members of a batch were given up
    "big calls",  # big_calls.py: calls whose bytes are on their way
)
_RANKS = {name: rank for rank, name in enumerate(ORDER)}

# The lock of a future is held for microseconds, unless what holds it waits for this very thread.
HELD_SECONDS = 1.0


class Reentrant(Protocol):
    """A reentrant lock of the stdlib."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; return whether that was possible within `timeout` seconds."""
        ...

    def release(self) -> None:
        """Give it back once."""
        ...

    def __enter__(self) -> bool: ...

    def __exit__(self, *_: Any) -> None: ...

    def _is_owned(self) -> bool: ...


class Held(Exception):
    """Another thread holds a future's lock, and perhaps waits for what this one has interrupted."""


def lock(name: str) -> threading.Lock:
    """Return a lock that has this place in the order."""
    return _Checked(name, threading.Lock()) if CHECKED else threading.Lock()  # type: ignore[return-value]


def reentrant(name: str) -> Reentrant:
    """Return a reentrant lock that has this place in the order."""
    return cast("Reentrant", _CheckedAgain(name, threading.RLock()) if CHECKED else threading.RLock())


def only_tried() -> Reentrant:
    """Return a reentrant lock that is only tried, or waited for with a bound."""
    return cast("Reentrant", threading.RLock())


def condition(name: str) -> threading.Condition:
    """Return a condition over a reentrant lock that has this place in the order. Take the lock itself (`lock_of`)."""
    return threading.Condition(cast(Any, reentrant(name)))


def lock_of(waited: threading.Condition) -> Reentrant:
    """Return the lock of a condition, to be taken by `with`.

    The condition's own `with` is code in Python: a signal handler that raises between its lines leaves the lock held
    for ever. That of a lock is one step of the interpreter.
    """
    return waited._lock  # type: ignore[attr-defined]


def owns(lock: Reentrant) -> bool:
    """Return whether this thread has taken the lock."""
    return lock._is_owned()  # pyright: ignore[reportPrivateUsage]


def let_go(lock: Reentrant) -> None:
    """Release a lock as often as this thread has taken it; nothing where it has not."""
    while lock._is_owned():  # pyright: ignore[reportPrivateUsage]
        lock.release()


def wait_for(waited: threading.Condition, predicate: Callable[[], bool]) -> None:
    """Return once the predicate holds. The caller holds the condition's lock, and Ctrl-C gets through."""
    while not waited.wait_for(predicate, policy.INTERRUPT_SECONDS):
        pass


class _Held(threading.local):
    """The checked locks that this thread has taken and perhaps given back, in the order in which it took them."""

    def __init__(self) -> None:
        self.locks: list[_Checked] = []


_held = _Held()


class _Checked:
    """A lock of the stdlib that asserts the order before a thread waits for it. Another thread may release it."""

    def __init__(self, name: str, lock: Any) -> None:
        self._name = name
        self._rank = _RANKS[name]
        self._lock = lock
        self._owner = 0
        self._times = 0  # of a reentrant lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if blocking and timeout < 0:
            self._check()
        taken: bool = self._lock.acquire(blocking, timeout)
        if taken:
            self._note(self._times + 1)
        return taken

    def release(self) -> None:
        self._times -= 1
        if not self._times:
            self._owner = 0
        self._lock.release()

    def locked(self) -> bool:
        return bool(self._times)

    def _note(self, times: int) -> None:
        self._owner, self._times = threading.get_ident(), times
        if self not in _held.locks:
            _held.locks.append(self)

    def _check(self) -> None:
        me = threading.get_ident()
        _held.locks[:] = [one for one in _held.locks if one._owner == me]
        # The stdlib takes the locks of several futures together, in an order of its own. And a signal handler may have
        # come since the line above: what it took stands in the list, and is given back.
        above = [one._name for one in list(_held.locks) if one._owner == me and self._stands_above(one)]
        if above:
            raise AssertionError(f"a thread that holds {' and '.join(above)!r} waits for {self._name!r}")

    def _stands_above(self, other: _Checked) -> bool:
        return other._rank > self._rank or (other._name == self._name != "future")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _CheckedAgain(_Checked):
    """The same for a reentrant lock; the three methods below are what a condition asks of one."""

    def _check(self) -> None:
        if not self._is_owned():
            super()._check()

    def _is_owned(self) -> bool:
        return self._owner == threading.get_ident()

    def _release_save(self) -> Any:
        times, self._owner, self._times = self._times, 0, 0
        return self._lock._release_save(), times

    def _acquire_restore(self, state: Any) -> None:
        self._lock._acquire_restore(state[0])
        self._note(state[1])
