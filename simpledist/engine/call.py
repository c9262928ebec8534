"""Record of one call, from its beginning: enough to send it, to send it again, and to run it at its client.

Owns how a call is run in this process, or in a throw-away child where it may kill the process that runs it. Knows no
future, no connection and no thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from simpledist import shipped, wire
from simpledist.broker.records import Terms, job_label
from simpledist.buffers import NAMES_BYTES, Blob, Data, Pieces, blobs_of, parts_of
from simpledist.code.archive_format import Archive
from simpledist.engine import argument_snapshot
from simpledist.engine.known import Key
from simpledist.engine.pending import Pending
from simpledist.engine.sharing import Sharing
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import Unserialisable
from simpledist.job import Priority
from simpledist.reasons import SUSPECT, Why


class _Here(threading.local):
    """How many local runs this thread is inside of: in each of them it may wait for calls that it makes there."""

    depth = 0


here = _Here()


@dataclass(slots=True, eq=False)
class Call:
    """One call, or a batch of them that travels as one job. Not frozen: that would make it 3x slower to create."""

    id: str  # of its job; of a call that is the slow one of a batch, the batch's
    spec: FunctionSpec
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    codec: str  # of its body
    body: Data  # its encoded arguments
    began: float  # time.monotonic()
    deadline: float | None  # time.monotonic() at which the remote budget is spent
    lends: bool = False  # a plain call: its caller waits, so the arguments stay as they are
    pending: Pending[Any] | None = None  # of the executor whose call it is
    crashes: int = 0  # children that it has killed before it was sent
    calls: int = 1  # of a batch: how many
    sharing: Sharing | None = None  # identical calls may have its outcome
    address: bytes | None = None  # then: its content address
    python: str = ""  # the minor version that can read it, where no other one can
    part: int | None = None  # its outcome is this part of a batch's
    depth: int = field(default_factory=lambda: here.depth)  # of the local run that makes it
    anew: bool = False  # the value that is kept for it is too old
    archive: Archive | None = None  # with the modules of this program that it needs on a worker
    origin: Call | None = None  # it travels with its function: the call as it was made
    blob_losses: int = 0  # how often a worker missed a blob of it
    moves: int = 0  # how often Redis had it submitted once more
    wanted: str | None = None  # the digest of the code that it is sealed for, "": whatever has the name; None: not yet
    # Once it was sealed (envelopes.py):
    nonce: bytes = b""
    digest: bytes = b""  # what its outcome must carry
    asked_at: float = 0.0  # clock.moment() of the first time
    sealed_at_ms: int = 0  # of the last time, by Redis' clock

    @property
    def label(self) -> str:
        """Return the name of the job, as `submit` takes it."""
        sharing = self.sharing
        if sharing is None:
            return self.id
        address = (self.address or b"").hex()
        return job_label(self.id, address, join=sharing.join, cache_seconds=sharing.cache_seconds, anew=self.anew)

    @property
    def together(self) -> tuple[Key, Key, Terms, Priority, int]:
        """Return what all calls have in common that one `submit` carries."""
        spec = self.spec
        return spec.code.key, self.made.spec.code.key, spec.terms, spec.priority, self.crashes

    @property
    def made(self) -> Call:
        """Return the call as it was made, of a function that has perhaps travelled with it."""
        return self.origin or self

    @property
    def blobs(self) -> Sequence[Blob]:
        """Return the shared objects that stand outside its body."""
        return blobs_of(self.body)

    def needs(self) -> tuple[str, ...]:
        """Return the names of what must be in Redis before it is."""
        names = tuple(blob.name for blob in self.blobs)
        return names if self.archive is None else (self.archive.name, *names)

    def carry(self) -> None:
        """Let the call carry its blobs: Redis has no room for them, or keeps losing them."""
        if self.origin is None or self.calls > 1:
            # A worker refuses a batch that has its function with it then: its calls run here, or go out one by one.
            self.body = wire.carrying(self.body)
            return
        self.origin.carry()
        self.args, self.kwargs, self.body = (), {}, travelling(self.origin)

    def given(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of one call as they were when it was made."""
        if self.lends:
            return self.args, self.kwargs
        return argument_snapshot.given(self.codec, self.body, self.spec.local, self.args, self.kwargs)

    def sent(self) -> argument_snapshot.Sent | None:
        """Return what another process is given to run it; None: the arguments themselves."""
        if self.lends or self.calls > 1 or not len(self.body) or argument_snapshot.unchanging(self.args, self.kwargs):
            return None
        return argument_snapshot.Sent(self.codec, bytes(wire.carrying(self.body)))

    def run(self, why: Why) -> Any:
        """Run the call at its client, with what it was given when it was made; return its value or raise."""
        if self.origin is not None:
            return self.origin.run(why)
        if self.calls > 1:
            local: Callable[..., Any] = run_all
            args, kwargs = (self.spec.local, self.args), dict[str, Any]()
        else:
            local, args, kwargs = self.spec.local, self.args, self.kwargs
        if why in SUSPECT or self.spec.hard_timeout is not None:
            throwaway = import_module("simpledist.engine.throwaway")
            # Never `given`, which loads: loading may be what kills.
            function, sent, hard_seconds = self.spec.function, self.sent(), self.spec.hard_timeout
            return throwaway.run(function, local, args, kwargs, sent=sent, why=why, hard_seconds=hard_seconds)
        if self.calls > 1:
            return run_all(self.spec.local, argument_snapshot.given_calls(self.codec, self.body, self.args))
        args, kwargs = self.given()
        return local(*args, **kwargs)

    def has_ended(self, future: Any) -> None:
        """Tell the executor that took the call, if one did, that all is done."""
        if self.pending is not None:
            self.pending.ended(future)

    def end(self) -> None:
        """Let go of what was needed to run it: a future that is kept does not keep the arguments."""
        self.args, self.kwargs, self.body = (), {}, b""


def travelling(call: Call) -> Data:
    """Return the arguments of a call, or a batch, that makes this one with its function. Raises Unserialisable.

    The modules that they name travel as well: there is no other code to compare with.
    """
    local = call.spec.local
    made: Data
    if call.calls == 1:
        made = wire.encode_arguments("pickle", _with_function(local, call.body))
    else:
        each = wire.split_calls("pickle", call.body)
        if not call.blobs and any(isinstance(one, Pieces) for one in each):
            raise Unserialisable("a batch that carries its shared objects travels to no worker with its function")
        made = wire.encode_together([_with_function(local, one) for one in each])
    return wire.naming(made, call.blobs) if call.blobs else made


def _with_function(local: Callable[..., Any], one: Data | memoryview | tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with which a worker makes one call: its own are encoded, or cannot change."""
    if isinstance(one, tuple):
        return shipped.arguments(local, one, {})[0]
    return shipped.arguments(local, wire.without_lines(bytes(one)), {})[0]


def with_names(call: Call, body: Data) -> Data:
    """Return what has the names of all that a call needs which travels as `body`: that, or its shorter pieces."""
    if len(body) <= NAMES_BYTES:
        return body
    parts = parts_of(call.body) if call.calls == 1 else wire.split_calls("pickle", call.body)
    function = wire.encode_arguments("pickle", _with_function(call.spec.local, ()))
    encoded = [bytes(part) for part in parts if not isinstance(part, tuple)]
    return Pieces([*encoded, *parts_of(function)], call.blobs)


def run_all(local: Callable[..., Any], calls: Sequence[argument_snapshot.Arguments]) -> list[wire.Value | wire.Raised]:
    """Run the calls of a batch one after the other: one outcome a call."""
    outcomes: list[wire.Value | wire.Raised] = []
    for args in calls:
        try:
            outcomes.append(wire.Value(local(*args)))
        except BaseException as error:  # noqa: BLE001 - it is the outcome of this call and of no other
            outcomes.append(wire.Raised(error))
    return outcomes
