"""What the verbs take and give back: plain frozen records, no Redis and no bytes but opaque ones.

What there is one of for each job is a tuple with names: a frozen dataclass takes several times as long to make.

A job's end travels as one element of its client's reply list: a line of text, then (for small results) the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from simpledist.clock import Reading
from simpledist.pieces import Data


class Held(NamedTuple):
    """One job in a worker's hands: what a beat names and what ends an attempt."""

    function: str
    id: str
    fence: str

    @property
    def field(self) -> str:
        return f"{self.function}:{self.id}:{self.fence}"


class Claimed(NamedTuple):
    """A job that `claim` or `complete` handed out; `call` is None where the bytes lie beside the scripts."""

    held: Held
    slot: int
    attempt: int
    queued_ms: int
    call: bytes | None


class Take(NamedTuple):
    """A wish for next jobs of one function: for each free slot named as many as it is `deep`.

    The last `ahead` of the slots are busy with a short job, and get one behind it where the queue is long. Where there
    is none for a free slot, the worker is left `idle`: the next lone job of the function is given to it. `deep` 0: it
    is left so at once, for it has a pop outstanding, or one behind this. `idle_for`: the function for which it was left
    so before, if any.
    """

    function: str
    slots: tuple[int, ...]
    deep: int = 1
    ahead: int = 0
    idle_for: str = ""

    @property
    def free(self) -> int:
        return len(self.slots) - self.ahead


class Ended(NamedTuple):
    """One attempt that came to an outcome, for `complete`.

    `kind` is "value" (the function returned), "error" (it raised: counts from the current fence only) or "partial" (of
    a chunk that goes on: what is finished, at most BESIDE_BYTES). `outcome` is the sealed bytes. `error` is text for
    people, empty for a value: one line, then, where known, a line with the place and the traceback; of a chunk's value
    how many of its calls returned and raised.
    """

    held: Held
    kind: str
    outcome: Data
    run_ms: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """One attempt that the cluster, not the function, brought to an end, for `fail`.

    `why` is a word of `job.Why`: crashed (tried again until the cap), worker_error, undecodable, unserialisable,
    too_big or key (the call then runs at its client).
    """

    held: Held
    why: str
    error: str = ""


class Submitted(NamedTuple):
    """Reply of `submit`, for each call: queued, exists, done, no_worker, full; `joined <id>`: it waits for that job;
    a Reply with the cached value; or `again`: the cached values of this reply are many bytes, submit it once more.
    """

    epoch: str
    words: list[str | Reply]


@dataclass(frozen=True, slots=True)
class Beaten:
    """Reply of `beat`. `known` is False where Redis has no row of this worker: beat again with the row.

    `stop` names held jobs that nobody waits for any more or that run elsewhere; `missing` those that Redis does not
    know (it was emptied: the client is about to submit them again, or is gone). `clock` is that of Redis, if known.
    """

    known: bool
    stop: list[Held] = field(default_factory=list[Held])
    missing: list[Held] = field(default_factory=list[Held])
    clock: Reading | None = None


class Cleared(NamedTuple):
    """Reply of `clear`: how many values were forgotten, and when, in ms of Redis' clock."""

    forgotten: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """A worker or client and the connection (`<run id>:<client id>`) that its row names."""

    kind: str  # "worker" | "client"
    id: str
    connection: str


class Reply(NamedTuple):
    """How a job ended, as its client reads it.

    `state` is succeeded, failed or cancelled, or running: what is finished of a chunk that goes on. `why` is set where
    the call must run at the client; `result` is None where `place` says that the bytes have to be fetched ("beside").
    `place` "cached": a value that was kept.
    """

    id: str
    state: str
    why: str | None
    worker: str | None
    attempts: int
    queued_ms: int
    run_ms: int
    place: str
    result: bytes | None


@dataclass(frozen=True, slots=True)
class Nudged:
    """Reply of `nudge`: a word a job (queued, running, missing, no_worker) or its Reply; who might be dead.

    `live` says for each function asked about whether a live worker offers it. `checked` is None when it is another
    caller's turn to look at connections. `closing` is True while a suspicion runs: nudge again in 0.5 s. `clients`:
    how many there are.
    """

    epoch: str
    words: list[str | Reply]
    live: dict[str, bool]
    suspects: list[Suspect]
    closing: bool
    clients: int
    clock: Reading


@dataclass(frozen=True, slots=True)
class Reaped:
    """Reply of `reap`: what was done; `closing` is True while a suspicion runs its grace."""

    expelled: list[str]
    forgotten: int
    requeued: int
    dropped: int
    closing: bool
