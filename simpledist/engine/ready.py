"""Results of a call before its future is settled: a reply, an outcome, or a reason to run it at its client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from simpledist import wire
from simpledist.broker.records import Reply
from simpledist.job import Info
from simpledist.reasons import Why


@dataclass(frozen=True, slots=True)
class RunHere:
    """The call comes back to be run by its client, for this reason.

    `detail`: what happened, in words; "": no more is known than the reason. `worker`: the one that says so.
    """

    why: Why
    detail: str = ""
    worker: str | None = None


class Read(NamedTuple):  # made for each call: a frozen dataclass takes several times as long
    """An outcome that was read, and where it came from."""

    outcome: wire.Value | wire.Raised
    info: Info


Ready = Reply | Read | RunHere
