"""Single submits that gathered: many short calls travel as one job, and each keeps the future that it was given.

A bundle is a chunk whose calls came one by one: the same envelope, the same parts, the same fate of a call that is slow
or kills its child (chunks.py). What takes it apart gives every future its outcome, or sends it on as a job of its own.
Made by the listener from what waits in the outbox; taken apart by whoever reads the outcome.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simpledist import policy, shipped, wire
from simpledist.client.call import Call
from simpledist.client.future import Future
from simpledist.client.outbox import batches
from simpledist.job import Info, Why

if TYPE_CHECKING:
    from simpledist.client.outcomes import Outcomes


class Bundle:
    """Two futures or more, and the one under which their calls travel. `_given_up` is touched under the lock."""

    def __init__(self, outcomes: Outcomes, members: Sequence[Future[Any]], bodies: Sequence[bytes]) -> None:
        self._outcomes = outcomes
        self._members = members
        self._lock = threading.Lock()
        self._given_up = 0
        first = members[0].call
        call = Call(
            id=outcomes.session.new_id(),
            function=first.function,
            local=first.local,
            args=(),
            kwargs={},
            codec=first.codec,
            fingerprint=first.fingerprint,
            body=wire.join_calls(bodies),
            began=first.began,
            deadline=None,
            max_queue=None,
            calls=len(members),
            bundle=self,
            python=max(member.call.python for member in members),  # of one program: all the same, or none
        )
        self.whole: Future[Any] = Future(call, outcomes, caller_runs=False)

    def enter(self, in_flight: dict[str, Future[Any]]) -> None:
        """The whole is in flight in place of its members."""
        for member in self._members:
            member.bundle = self  # first: until it is out of `in_flight`, it can be given up in either way
        in_flight[self.whole.call.id] = self.whole
        gone = sum(in_flight.pop(member.call.id, None) is not member for member in self._members)
        if gone:
            self.gave_up(gone)

    def gave_up(self, number: int = 1) -> bool:
        """So many more of the members are wanted no more: whether none is left."""
        with self._lock:
            self._given_up += number
            return self._given_up >= len(self._members)

    def give_up(self) -> None:
        """Nobody waits for the whole any more."""
        for member in self._members:
            member.bundle = None
            member.give_up()

    def withdraw(self, unwanted: Collection[Future[Any]]) -> None:
        """The whole has left the queue, not begun: these members are cancelled, each other is a job of its own."""
        for member in self._members:
            member.bundle = None
            if member in unwanted:
                member.give_up()
            elif not member.done():
                self._outcomes.start_alone(member)

    def take_apart(self, parts: Mapping[int, wire.Part], info: Info) -> None:
        """Every member gets its outcome; what has none goes on by itself, and the one that still runs waits for it."""
        for number, member in enumerate(self._members):
            part = parts.get(number, "")
            if not isinstance(part, str):
                seconds = part.run_seconds  # by position, for `replace` takes several times as long
                arrived = Info("remote", None, info.worker, info.version, info.attempts, info.queued_seconds, seconds)
                member.arrive(part, arrived)
                continue
            if part == wire.SLOW:
                self._outcomes.wait_for_part(member, self.whole.call, number)
            elif not member.done():
                self._outcomes.start_alone(member, part)
            self._let_go(member)

    def run_here(self, why: Why) -> None:
        """The whole cannot have its outcome from the cluster: each member is run here, or has to show for itself."""
        for member in self._members:
            if not member.done():
                if why in ("crashed", "lost"):
                    self._outcomes.start_alone(member)
                else:
                    self._outcomes.run_alone(member, why)
            self._let_go(member)

    def _let_go(self, member: Future[Any]) -> None:
        member.bundle = None
        if member.cancelled():  # meanwhile: nothing was in flight then
            self._outcomes.give_up_job(member)


def bundled(outcomes: Outcomes, group: list[Future[Any]]) -> list[Future[Any]]:
    """What futures of one function that gathered are sent as: short calls many as one job, all others as they are."""
    call = group[0].call
    size = outcomes.experience.get(call.function, policy.Experience()).chunk_calls()
    if min(size, len(group)) < policy.BUNDLE_CALLS:
        return group
    alike: list[Future[Any]] = []
    units: list[Future[Any]] = []
    for future in group:
        (alike if _may_join(future.call, call) else units).append(future)
    if len(alike) < policy.BUNDLE_CALLS:
        return group
    # Some for each of several workers, if there are.
    size = min(size, max(policy.BUNDLE_CALLS, -(-len(alike) // policy.BUNDLES)))
    for members in batches(alike, items=size, most_bytes=policy.BUNDLE_BYTES):
        # A call that is cancelled in this moment has let go of its body: its place in the chunk could not be decoded.
        kept = [(member, body) for member in members if (body := bytes(member.call.body))]
        if len(kept) < 2:  # one call is no chunk
            units += [member for member, _ in kept]
            continue
        bundle = Bundle(outcomes, [member for member, _ in kept], [body for _, body in kept])
        bundle.enter(outcomes.in_flight)
        units.append(bundle.whole)
    return units


def _may_join(call: Call, first: Call) -> bool:
    """Whether nothing of a call asks for a job of its own."""
    return (
        call.calls == 1
        and call.function != shipped.FUNCTION  # each may be another function, and slow
        and call.deadline is None
        and call.max_queue is None
        and call.sharing is None
        and not call.crashes
        and len(call.body) <= policy.BUNDLE_CALL_BYTES
        and call.codec == first.codec
        and call.fingerprint == first.fingerprint
    )
