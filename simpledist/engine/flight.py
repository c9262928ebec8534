"""The calls under way of one client: the one table of them, by the id of their job.

The only place that enters, renames or removes a call. Futures that wait for the same job stand behind the first: that
one is nudged, sent again and counted for all of them, the others only share what comes of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from simpledist.engine import locks
from simpledist.engine.batch import Batch
from simpledist.engine.call import Call
from simpledist.engine.future import Future


class Flight:
    """`_lock` guards what concerns several futures of one job; a single dict operation needs no lock."""

    def __init__(self) -> None:
        self._lock = locks.lock("flight")
        self._first: dict[str, Future[Any]] = {}
        self._behind: dict[str, list[Future[Any]]] = {}
        self._unread: dict[str, int] = {}
        self._batches: dict[str, Batch] = {}  # by the id of their job

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, id: object) -> bool:
        return id in self._first

    def get(self, id: str) -> Future[Any] | None:
        """Return the first future that waits for a job."""
        return self._first.get(id)

    def stands(self, future: Future[Any]) -> bool:
        """Return whether this future is the first that waits for its job."""
        return self._first.get(future.call.id) is future

    def all(self) -> list[Future[Any]]:
        """Return every future that waits for an outcome. Takes no lock: a forked child asks, and finalisers."""
        return [*self._first.values(), *(one for behind in list(self._behind.values()) for one in list(behind))]

    def sent(self) -> list[Future[Any]]:
        """Return those that Redis should know, one a job."""
        return [future for future in list(self._first.values()) if future.sent]

    # --- in ------------------------------------------------------------------------------------------------------

    def enter(self, future: Future[Any]) -> None:
        """Enter a call whose job id is its own."""
        self._first[future.call.id] = future

    def enter_again(self, future: Future[Any]) -> None:
        """Enter a call that was out: it waits for the job that it names, alone or behind another."""
        with self._lock:
            first = self._first.setdefault(future.call.id, future)
            if first is not future:
                self._behind.setdefault(future.call.id, []).append(future)

    def enter_batch(self, batch: Batch) -> None:
        """Let the whole of a batch take the place of its members."""
        self._batches[batch.whole.call.id] = batch
        for member in batch.members:
            member.batch = batch  # first: until it is out of the table, it can be given up in either way
        self._first[batch.whole.call.id] = batch.whole
        gone = sum(self._first.pop(member.call.id, None) is not member for member in batch.members)
        if gone:
            batch.gave_up(gone)

    # --- renamed -------------------------------------------------------------------------------------------------

    def become_part(self, future: Future[Any], of: Future[Any], part: int) -> None:
        """Let a call wait for the job of a batch: it is this part of it, runs, and is slow."""
        call, whole = future.call.made, of.call
        if whole.origin is not None:  # the batch travels with its function: what comes of it is that one's outcome
            call = dataclasses.replace(call, spec=whole.spec, origin=call)
        future.call = call
        call.id, call.digest, call.began, call.deadline, call.part = (
            whole.id,
            whole.digest,
            whole.began,
            whole.deadline,
            part,
        )
        future.sent = future.on_worker = True
        self._first[call.id] = future

    def become_own(self, future: Future[Any], id: str) -> None:
        """Give a call, or a batch, a job of its own, which is not under way yet."""
        self._rename(future, id)
        if future.call.part is not None:
            future.call = future.call.made  # its own arguments, not those of a batch
        future.call.id, future.call.part = id, None

    def change(self, future: Future[Any], call: Call) -> bool:
        """Let a future wait for another call, not under way yet; return False where it waits for nothing any more."""
        if self._first.pop(future.call.id, None) is not future:
            return False
        self._rename(future, call.id)
        future.call = call
        return True

    def _rename(self, future: Future[Any], id: str) -> None:
        self._first.pop(future.call.id, None)
        if (batch := self._batches.get(future.call.id)) is not None and batch.whole is future:
            self._batches[id] = self._batches.pop(future.call.id)

    def join(self, future: Future[Any], id: str) -> None:
        """Let the future, and all that stand behind it, wait for another client's job."""
        with self._lock:
            if self._first.get(future.call.id) is not future:
                return  # cancelled, or run here meanwhile
            moving = [self._first.pop(future.call.id), *self._behind.pop(future.call.id, ())]
            for one in moving:
                one.call.id, one.joined = id, True
                if self._first.setdefault(id, one) is not one:
                    self._behind.setdefault(id, []).append(one)

    # --- out -----------------------------------------------------------------------------------------------------

    def leave(self, future: Future[Any]) -> bool:
        """Take a job out of the table; return whether it was there."""
        return self._first.pop(future.call.id, None) is not None

    def leave_all(self, futures: Iterable[Future[Any]]) -> None:
        """Take these out: no caller will ask for them."""
        for future in futures:
            self._first.pop(future.call.id, None)

    def withdraw(self, future: Future[Any]) -> bool | None:
        """Take out one future: return True if others here still wait, False if none, None if it was not here."""
        with self._lock:
            id = future.call.id
            behind = self._behind.get(id, [])
            if self._first.get(id) is future:
                if not behind:
                    del self._first[id]
                    return False
                self._first[id] = behind.pop(0)
            elif future in behind:
                behind.remove(future)
            else:
                return None
            if not behind:
                del self._behind[id]
            return True

    def take(self, id: str, *, to_read: bool) -> Sequence[Future[Any]]:
        """Take out all that wait for a job: it has ended. `to_read`: each of them will read its outcome."""
        with self._lock:
            first = self._first.pop(id, None)
            if first is None:
                return ()
            behind = self._behind.pop(id, None) if self._behind else None
            if behind is None:
                return (first,)
            if to_read:
                self._unread[id] = 1 + len(behind)
            return (first, *behind)

    def batch_of(self, whole: Future[Any]) -> Batch | None:
        """Return the batch whose members travel under this future."""
        return self._batches.get(whole.call.id)

    def end_batch(self, batch: Batch) -> None:
        """Forget a batch: its members have come apart."""
        self._batches.pop(batch.whole.call.id, None)

    # --- shared --------------------------------------------------------------------------------------------------

    def shared(self, id: str) -> bool:
        """Return whether more than one future here waits for this job."""
        return id in self._behind

    def is_read(self, id: str) -> bool:
        """Note that one more has read the outcome of a job; return whether it was the last."""
        if id not in self._unread:
            return True
        with self._lock:
            self._unread[id] -= 1
            if self._unread[id] > 0:
                return False
            del self._unread[id]
            return True
