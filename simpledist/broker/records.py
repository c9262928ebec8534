"""Arguments and replies of the verbs: plain frozen records, no Redis and no bytes but opaque ones.

What there is one of for each job is a tuple with names: a frozen dataclass takes several times as long to make.

A job's end travels as one element of its client's reply list: a line of text, then (for small results) the bytes.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import NamedTuple

from simpledist import policy
from simpledist.broker.lane import function_of
from simpledist.buffers import Data
from simpledist.clock import Reading

NO_KEY = "00000000"  # the key id of a process that signs nothing
NO_DIGEST = "-"  # the code of a function that has no digest
ANY_PLACE = "*"


class Wish(NamedTuple):
    """What a call asks of the worker that runs it; `live` (lua/_offer.lua) compares it with what workers offer.

    `key` is the id of the key that signs the call. `python`: a minor version, where only that one can read the call.
    `digest` names the code of its function; without one the call goes by name, and NO_DIGEST asks for an offer without
    one. `place` says where that code stands: code of another place is another function, which may serve the call by its
    name. "" refuses all other code, ANY_PLACE none.
    """

    key: str = NO_KEY
    python: str = ""
    digest: str = ""
    place: str = ""
    protocol: int = policy.PROTOCOL

    @property
    def text(self) -> str:
        """Return it as it travels: always the same fields in the same order."""
        return _wish_text(self)


@functools.lru_cache(maxsize=1000)
def _wish_text(wish: Wish) -> str:
    return (
        f'{{"protocol":{wish.protocol},"key":"{wish.key}","python":"{wish.python}",'
        f'"digest":"{wish.digest}","place":"{wish.place}"}}'
    )


class Terms(NamedTuple):
    """What the options of a function ask of Redis for its calls; a script goes by it, under the same name."""

    max_queue: int | None = None  # with so many jobs queued, further calls are refused

    @property
    def text(self) -> str:
        """Return it as it travels: "name=value" of what is asked for; "" for nothing."""
        return _terms_text(self)


@functools.lru_cache(maxsize=1000)
def _terms_text(terms: Terms) -> str:
    return " ".join(f"{name}={value}" for name, value in terms._asdict().items() if value is not None)


class Traits(NamedTuple):
    """What a worker says of itself in each of its offers; `lifetime_ms` 0: it does not know when it will end."""

    keys: tuple[str, ...] = (NO_KEY,)
    python: str = ""
    tags: tuple[str, ...] = ()
    protocol: int = policy.PROTOCOL
    lifetime_ms: int = 0

    @property
    def text(self) -> str:
        """Return the part of an offer that is the same for all functions."""
        fields = {"protocol": self.protocol, "keys": self.keys, "python": self.python, "tags": self.tags}
        return json.dumps(fields, separators=(",", ":"))


class Held(NamedTuple):
    """One job in a worker's hands: what a beat names and what ends an attempt."""

    lane: str
    id: str
    fence: str

    @property
    def function(self) -> str:
        return function_of(self.lane)

    @property
    def field(self) -> str:
        return f"{self.lane}:{self.id}:{self.fence}"


class Claimed(NamedTuple):
    """A job that `claim` or `complete` handed out; `call` is None if the bytes travel apart from the scripts."""

    held: Held
    slot: int
    attempt: int
    queued_ms: int
    call: bytes | None


class Take(NamedTuple):
    """A worker's order for next jobs of one lane: for each free slot named as many as it is `deep`.

    The last `ahead` of the slots are busy with a short job, and get one behind it where the queue is long. Where there
    is none for a free slot, the worker is left `idle`: the next lone job of the lane is given to it. `deep` 0: it
    is left so at once, for it has a pop outstanding, or one behind this. `idle_for`: the lane for which it was left
    so before, if any.
    """

    lane: str
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
    a batch that goes on: what is finished, at most BESIDE_BYTES). `outcome` is the sealed bytes; None: they were sent
    before, apart from the scripts. `error` is text for people, empty for a value: one line, then, where known, a line
    with the place and the traceback; of a batch's value how many of its calls returned and raised.
    """

    held: Held
    kind: str
    outcome: Data | None
    run_ms: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """One attempt that the cluster, not the function, brought to an end, for `fail`.

    `why` is a word of `reasons.Why`: crashed (tried again until the cap), worker_error, undecodable, unserialisable,
    too_big or key (the call then runs at its client). `refused`: another worker may do better, and is tried first.
    """

    held: Held
    why: str
    error: str = ""
    refused: bool = False


class Submitted(NamedTuple):
    """Reply of `submit`, for each call: queued, exists, done, full; `joined <id>`: it waits for that job; a Reply with
    the cached value; `again`: the cached values of this reply are many bytes, submit it once more; `moved <lane>`:
    submit it there; `named <lane> <digest> <place> <worker>`: only another function under the name is there, submit
    it there with that digest; or, with words for people behind it, why no worker may have it: no_worker, other_code,
    key, disabled.
    """

    epoch: str
    words: list[str | Reply]


@dataclass(frozen=True, slots=True)
class Beaten:
    """Reply of `beat`. `known` is False where Redis has no row of this worker: beat again with the row.

    `stop` names held jobs that no client waits for any more or that run elsewhere; `missing` those that Redis does not
    know (it was emptied: the client is about to submit them again, or is gone). `lanes`, where the worker has
    registered: those that it is to take jobs from. `clock` is that of Redis, if known.
    """

    known: bool
    stop: list[Held] = field(default_factory=list[Held])
    missing: list[Held] = field(default_factory=list[Held])
    lanes: list[str] = field(default_factory=list[str])
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

    `state` is succeeded, failed or cancelled, or running: what is finished of a batch that goes on. `why` is set where
    the call must run at the client; `result` is None where `place` says that the bytes have to be fetched (`"beside"`).
    `place` "cached": a value that was kept. `detail`: with a `why`, what went wrong, in words for people.
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
    detail: str = ""

    @property
    def lost(self) -> bool:
        """Return whether its job has ended and Redis has lost the result: no outcome will come."""
        return self.place == "none" and self.why is None


@dataclass(frozen=True, slots=True)
class Nudged:
    """Reply of `nudge`: a word a job (queued, running, missing, or why no worker may have it) or its Reply; who might
    be dead.

    `live` has the answer to each question about a lane, "ok" where a call may travel. `suspects` are workers whose
    connection this client should look at; none if it is another caller's turn. `closing` is True while a suspicion
    runs: nudge again in 0.5 s. `clients`: how many there are.
    """

    epoch: str
    words: list[str | Reply]
    live: list[str]
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


def job_label(id: str, address: str, *, join: bool, cache_seconds: float, anew: bool = False) -> str:
    """Return how `submit` names a job that shares its outcome; `address` is that of its call; 0 seconds: not kept.

    `anew`: the kept value does not answer it.
    """
    cache_ms = round(cache_seconds * 1000)
    return f"{id} {address} {int(join)} {cache_ms} {int(cache_ms > 0 and not anew)}"
