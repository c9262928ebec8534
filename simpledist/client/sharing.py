"""Calls that are the same call: how a function shares outcomes, and which futures here wait for one job together.

Owns what makes a call's content address, and the futures that stand beside the one in flight under a job's id. What
Redis joins and keeps is decided in its scripts (submit.lua). Used by client.py, outcomes.py and the listener.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from simpledist import policy
from simpledist.broker.broker import job_label
from simpledist.client.future import Future
from simpledist.code import fingerprint
from simpledist.config import arguments
from simpledist.errors import Unkeyable

log = logging.getLogger("simpledist")

_unkeyed: set[str] = set()  # functions of which it was said


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a function asks for; `code` is the fingerprint of its local code."""

    join: bool
    cache_seconds: float
    code: str
    make_address: Callable[..., bytes]

    def address(self, function: str, codec: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
        """The call's content address; None, said once a function, where an argument has no canonical form."""
        try:
            return self.make_address(function, codec, self.code, args, kwargs)
        except Unkeyable as error:
            if function not in _unkeyed:
                _unkeyed.add(function)
                log.warning("function %s: calls like this one are neither joined nor cached: %s", function, error)
            return None

    def label(self, id: str, address: str, *, anew: bool) -> str:
        """How `submit` names the job of such a call; `anew`: no value that was kept answers it."""
        return job_label(id, address, join=self.join, cache_seconds=self.cache_seconds, anew=anew)


def sharing(name: str, local: Callable[..., Any], *, join: bool, cache: float | None) -> Sharing | None:
    """What `worker_function(join=, cache=)` mean; None for neither. Raises ConfigurationError."""
    cache = arguments.seconds(f"worker_function({name!r})", "cache", cache, most=policy.CACHED_SECONDS)
    if not join and cache is None:
        return None
    # Loaded only here: most programs share nothing.
    address = import_module("simpledist.code.canonical").address
    return Sharing(join, cache or 0.0, fingerprint.fingerprint(local) or fingerprint.code_hash(local), address)


class Together:
    """Futures of this client that wait for the same job as the one in flight under its id.

    The one in flight is nudged, sent again and counted for all of them; these only share what comes of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._beside: dict[str, list[Future[Any]]] = {}
        self._unread: dict[str, int] = {}

    def enter(self, in_flight: dict[str, Future[Any]], future: Future[Any]) -> None:
        """The future waits for the job that its call names, alone or beside another."""
        with self._lock:
            first = in_flight.setdefault(future.call.id, future)
            if first is not future:
                self._beside.setdefault(future.call.id, []).append(future)

    def move(self, in_flight: dict[str, Future[Any]], future: Future[Any], id: str) -> None:
        """The future, and whoever stands beside it, waits from now on for another client's job, under that job's id."""
        with self._lock:
            if in_flight.get(future.call.id) is not future:
                return  # cancelled, or run here meanwhile
            moving = [in_flight.pop(future.call.id), *self._beside.pop(future.call.id, ())]
            for one in moving:
                one.call.id, one.joined = id, True
                if in_flight.setdefault(id, one) is not one:
                    self._beside.setdefault(id, []).append(one)

    def withdraw(self, in_flight: dict[str, Future[Any]], future: Future[Any]) -> bool | None:
        """The future waits no more: True if others here still do, False if it was the last, None if it was not here."""
        with self._lock:
            id = future.call.id
            beside = self._beside.get(id, [])
            if in_flight.get(id) is future:
                if not beside:
                    del in_flight[id]
                    return False
                in_flight[id] = beside.pop(0)
            elif future in beside:
                beside.remove(future)
            else:
                return None
            if not beside:
                del self._beside[id]
            return True

    def shared(self, id: str) -> bool:
        """Whether more than one future here waits for this job."""
        return id in self._beside

    def take(self, in_flight: dict[str, Future[Any]], id: str, *, to_read: bool) -> list[Future[Any]]:
        """All that wait for the job: it has ended. `to_read`: each of them will read its outcome."""
        with self._lock:
            first = in_flight.pop(id, None)
            found = [first, *self._beside.pop(id, ())] if first is not None else []
            if to_read and len(found) > 1:
                self._unread[id] = len(found)
            return found

    def is_read(self, id: str) -> bool:
        """One more has read the outcome of a job: whether it was the last."""
        if id not in self._unread:
            return True
        with self._lock:
            self._unread[id] -= 1
            if self._unread[id] > 0:
                return False
            del self._unread[id]
            return True

    def all(self) -> list[Future[Any]]:
        """Those that stand beside another. Takes no lock: a forked child asks, and another thread may have held it."""
        return [future for beside in list(self._beside.values()) for future in list(beside)]
