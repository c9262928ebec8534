"""Events: what happens to calls, as the rooms of the engine return it. Only calls.py applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simpledist.broker.records import Reply
from simpledist.engine.future import Future
from simpledist.engine.known import Key
from simpledist.reasons import Why


@dataclass(frozen=True, slots=True)
class Sent:
    """These calls have gone out, or were left to be sent: the listener is to see to their nudges and deadlines."""

    futures: list[Future[Any]]


@dataclass(frozen=True, slots=True)
class Joined:
    """The call waits for the job of an identical call."""

    future: Future[Any]
    id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A job has ended, or a part of it: this is its reply."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Absent:
    """Redis says why no live worker may have calls of this function; None: one may."""

    key: Key
    why: Why | None


@dataclass(frozen=True, slots=True)
class Home:
    """The call cannot have its outcome from the cluster, for this reason, nor can those that wait for the same job.

    `worker`: the one that says so.
    """

    future: Future[Any]
    why: Why
    detail: str = ""
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Overdue:
    """The remote budget of the call is spent. Calls that wait for the same job go on waiting."""

    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """The outcome was evicted or has expired before it was read: the call is to be asked after, or run again."""

    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Stale:
    """The outcome of an identical call is too old for this one. `cached`: it was kept in Redis."""

    future: Future[Any]
    cached: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """The outcome of the call could not be had or not be read, for this reason."""

    future: Future[Any]
    why: Why
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BlobMissed:
    """A worker did not find a shared object of the call: it is to be put into Redis again, and the call sent again."""

    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Alone:
    """The batch brought no outcome of this call: from now on it is a job of its own.

    `why`: the reason, and behind a blank what is known of it, in words. `worker`: the one that says so.
    """

    future: Future[Any]
    why: str = ""
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Slow:
    """The call runs and is slow: it waits for the job of its batch, of which it is this part."""

    future: Future[Any]
    whole: Future[Any]
    part: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """No caller waits for this call any more, and Redis may have its job."""

    future: Future[Any]


Event = (
    Sent | Joined | Answered | Absent | Home | Overdue | Lost | Stale | BlobMissed | Unread | Alone | Slow | Cancelled
)


def unwatched(_: object) -> None:
    """Watch nothing that was sent: there is no listener."""
