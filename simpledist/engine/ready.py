"""What may come of a call before its future is settled: a reply, an outcome, or a reason to run it at its client."""

from __future__ import annotations

from dataclasses import dataclass

from simpledist import wire
from simpledist.broker.records import Reply
from simpledist.job import Info, Why


@dataclass(frozen=True, slots=True)
class RunHere:
    """The call comes back to be run by its client, for this reason."""

    why: Why


@dataclass(frozen=True, slots=True)
class Read:
    """An outcome that was read together with others'."""

    outcome: wire.Value | wire.Raised
    info: Info


Ready = Reply | Read | RunHere
