"""Calls that gathered before they were sent: many short ones travel as one job, and each keeps its own future.

Owns which calls may travel together and what becomes of each when the job comes back. Knows neither the table of calls
nor any connection: it returns events. Formed by the listener, taken apart by the thread that reads the outcome. Calls
of a map have no futures of their own while they travel: map_batch.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from simpledist import policy, shipped, wire
from simpledist.buffers import Data
from simpledist.engine import locks
from simpledist.engine.call import Call
from simpledist.engine.events import Alone, Event, Slow
from simpledist.engine.future import Future
from simpledist.engine.known import Known
from simpledist.engine.protocols import Owner
from simpledist.engine.ready import Read, RunHere
from simpledist.errors import Unserialisable
from simpledist.job import Info, remote_info
from simpledist.reasons import SUSPECT


class Batch:
    """Two futures or more, and `whole`, the one under which their calls travel."""

    def __init__(self, whole: Future[Any], members: Sequence[Future[Any]]) -> None:
        self.whole = whole
        self.members = members
        self._lock = locks.lock("batch")
        self._given_up = 0  # guarded by the lock

    def gave_up(self, number: int = 1) -> bool:
        """Note that so many more of the members are wanted no more; return whether none is left."""
        with self._lock:
            self._given_up += number
            return self._given_up >= len(self.members)

    def give_up(self) -> None:
        """Give up every member: no caller waits for the whole any more."""
        for member in self.members:
            member.batch = None
            member.give_up()

    def withdraw(self, unwanted: Collection[Future[Any]]) -> list[Event]:
        """Cancel these members: the whole has left the queue before it began. Each other is a job of its own."""
        events: list[Event] = []
        for member in self.members:
            member.batch = None
            if member in unwanted:
                member.give_up()
            elif not member.done():
                events.append(Alone(member))
        return events

    def take_apart(self, parts: Mapping[int, wire.Part], info: Info) -> list[Event]:
        """Give each member its outcome. One without goes on by itself; the one that still runs waits for the job."""
        events: list[Event] = []
        for number, member in enumerate(self.members):
            part = parts.get(number, "")
            if not isinstance(part, str):
                arrived = remote_info(info.worker, info.version, info.attempts, info.queued_seconds, part.run_seconds)
                member.arrive(Read(part, arrived))
            elif part == wire.SLOW:
                events.append(Slow(member, self.whole, number))
            else:
                events.append(Alone(member, part, info.worker))
        return events

    def come_home(self, ready: RunHere) -> list[Event]:
        """Run each member at its client; where the whole killed processes, each has to show by itself what it does."""
        events: list[Event] = []
        for member in self.members:
            if ready.why in SUSPECT or member.done():
                events.append(Alone(member))
                continue
            member.sent = False  # Redis knows nothing of it
            member.offer(ready)
            member.batch = None
        return events


def batched(
    group: list[Future[Any]], known: Known, *, owner: Owner, new_id: Callable[[], str]
) -> tuple[list[Future[Any]], list[Batch]]:
    """Return what futures of one function are sent as, and the batches among it: the rest goes as it is."""
    first = group[0].call
    size = known.on_workers.batch_calls()
    if min(size, len(group)) < policy.GATHERED_CALLS:
        return group, []
    short: list[Future[Any]] = []
    units: list[Future[Any]] = []
    for future in group:
        (short if _may_join(future.call, first) else units).append(future)
    if len(short) < policy.GATHERED_CALLS:
        return group, []
    batches: list[Batch] = []
    # Some for each of several workers, if there are.
    size = min(size, max(policy.GATHERED_CALLS, -(-len(short) // policy.GATHERED_JOBS)))
    for members in cut(short, items=size, most_bytes=policy.GATHERED_BYTES):
        # A call that is cancelled in this moment has let go of its body: its place in the job could not be decoded.
        kept = [(member, body) for member in members if len(body := member.call.body)]
        if len(kept) < 2:  # one call is no batch
            units += [member for member, _ in kept]
            continue
        try:
            batch = _batch([member for member, _ in kept], [body for _, body in kept], owner=owner, id=new_id())
        except Unserialisable:  # too many shared objects in one job
            units += [member for member, _ in kept]
            continue
        batches.append(batch)
        units.append(batch.whole)
    return units, batches


def alike(futures: Iterable[Future[Any]]) -> list[list[Future[Any]]]:
    """Return calls in groups that one script may carry, but for their size."""
    groups: defaultdict[Hashable, list[Future[Any]]] = defaultdict(list)
    for future in futures:
        groups[future.call.together].append(future)
    return list(groups.values())


def cut(
    futures: Sequence[Future[Any]], *, items: int = policy.BATCH_ITEMS, most_bytes: int = policy.BATCH_BYTES
) -> list[list[Future[Any]]]:
    """Return calls of one function cut to what one script, or one job, may carry."""
    return policy.batches(futures, lambda future: len(future.call.body), items=items, most_bytes=most_bytes)


def _batch(members: list[Future[Any]], bodies: list[Data], *, owner: Owner, id: str) -> Batch:
    first = members[0].call
    call = Call(
        id=id,
        spec=first.spec,
        args=(),
        kwargs={},
        codec=first.codec,
        body=wire.join_calls(bodies),
        began=first.began,
        deadline=None,
        calls=len(members),
        python=max(member.call.python for member in members),  # of one program: all the same, or none
        archive=first.archive,
        origin=first.origin,
    )
    return Batch(Future(call, owner, caller_runs=False), members)


def _may_join(call: Call, first: Call) -> bool:
    """Return whether nothing of a call asks for a job of its own."""
    return (
        call.calls == 1
        and _same_function(call, first)
        and call.deadline is None
        and call.spec.hard_timeout is None
        and call.spec.max_queue is None
        and call.sharing is None
        and not call.crashes
        and len(call.body) <= policy.GATHERED_CALL_BYTES
        and call.codec == first.codec
    )


def _same_function(call: Call, first: Call) -> bool:
    """Return whether both call one function. An executor's calls may each be of another one, and slow."""
    if call.spec.function != shipped.FUNCTION:
        return True
    if call.origin is None or first.origin is None:
        return False
    return call.origin.spec is first.origin.spec and call.archive is first.archive
