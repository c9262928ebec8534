"""Calls that travel with their function, to a worker with `--any`: those of executors, and those that no worker knows.

Owns what such a call carries: the function, and the archive with this program's own modules that it names. Pure, but
for reading those modules.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from simpledist import shipped, wire
from simpledist.buffers import Data, whole_size
from simpledist.code.archive_format import Archive
from simpledist.engine.call import Call, travelling, with_names
from simpledist.engine.inside import thread
from simpledist.engine.known import Key
from simpledist.engine.offers import Offers
from simpledist.engine.routing import Later, Travel, Way
from simpledist.engine.session import Session
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import NotPacked, RedisDown, RedisRefused, Unserialisable
from simpledist.interruption import by_signal
from simpledist.job import Priority
from simpledist.reasons import Why

NOWHERE: frozenset[Why] = frozenset({"no_worker", "other_code"})  # no worker has the function, or its code
_NAME_BYTES = 1000
AT_ONCE_SECONDS = 1.0  # so long after one call the next ones are not tried by name first


@functools.lru_cache(maxsize=1000)
def run_of(priority: Priority, needs: tuple[str, ...], hard_timeout: float | None) -> FunctionSpec:
    """Return the function that runs another one which came with its call, for calls that ask for this."""
    return FunctionSpec(
        shipped.FUNCTION, shipped.run, strict=True, priority=priority, needs=needs, hard_timeout=hard_timeout
    )


def with_archive(call: Call, way: Way, kept: Callable[[Key, str], None]) -> Way:
    """Let a call name the modules that it needs; return its way.

    One whose modules could not be there as they are here stays at its client; `kept` hears of code that changed.
    """
    try:
        call.archive = _archive_of(call.body, reads=True)
        if call.archive is not None and isinstance(way, Travel) and not call.spec.code.key.digest:
            # Its envelope could not name the archive, and a worker would run what it has under these names.
            raise NotPacked(
                "the code of simpledist itself cannot be identified here: its source is missing", changed=True
            )
    except NotPacked as error:
        if error.changed:
            kept(call.spec.code.key, str(error))
        if isinstance(way, Travel):
            return Later("other_code" if error.changed else "unserialisable", str(error))
    return way


def _archive_of(names: Data, *, reads: bool) -> Archive | None:
    """Return the archive of the modules that are named; None for none. Raises NotPacked, and what a signal raised."""
    try:
        return import_module("simpledist.code.travelling_modules").program.archive_of(names, reads=reads)
    except (NotPacked, KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        if by_signal(error):
            raise
        raise NotPacked(f"the modules of this program cannot be read: {type(error).__name__}: {error}") from error


def may_ship(call: Call, why: Why) -> bool:
    """Return whether a call that comes home for this reason may go to a worker with `--any`."""
    spec = call.spec
    return (
        why in NOWHERE
        and spec.ships
        and call.part is None
        and call.origin is None
        and spec.function != shipped.FUNCTION
        and call.codec == spec.codec == "pickle"
        and (isinstance(call.body, bytes) or bool(call.blobs))
        and bool(call.body)
        and not spec.code.keeps
    )


class Shipping:
    """How the calls of one client travel with their function, where workers with `--any` live."""

    def __init__(self, session: Session, most_bytes: int) -> None:
        self._session = session
        self._offers = Offers(self._live_workers)
        self._most_bytes = most_bytes

    def _live_workers(self) -> list[dict[str, Any]] | None:
        """Ask Redis, in a thread of ours, which may wait for it."""
        try:
            return self._session.live_workers()
        except (RedisDown, RedisRefused):
            return None

    def at_once(self, call: Call) -> Call | None:
        """Return the same where a call like it has gone so a moment ago; None where workers are to be asked again.

        Asks Redis nothing and reads no file: the listener may not wait.
        """
        code = call.spec.code
        if time.monotonic() < code.ships_until and not thread.interrupting and may_ship(call, "no_worker"):
            return self._made(call, reads=False)
        code.ships_until = 0.0
        return None

    def of(self, call: Call) -> Call | None:
        """Return a call that makes this one with its function; None where that does not travel, or no one takes it."""
        made = self._made(call, reads=True) if self._offers.slots(shipped.FUNCTION, call.spec.needs) else None
        if made is not None:
            code = call.spec.code
            code.ships_by_value = _goes_by_value(call.spec.local)
            code.ships_until = time.monotonic() + AT_ONCE_SECONDS
            self._session.store.of(code.key).said(None)  # one takes it, whatever Redis said of its name
        return made

    def _made(self, call: Call, *, reads: bool) -> Call | None:
        run = run_of(call.spec.priority, call.spec.needs, call.spec.hard_timeout)
        if not run.code.known and not run.code.work_out(run.local, self._session.store):
            return None
        if not run.code.key.digest:
            return None
        try:
            body = travelling(call)
            if whole_size(body) > self._most_bytes:
                return None
            # By position, as in encoding.py; a quarter of the time of `dataclasses.replace`.
            made = Call(self._session.new_id(), run, (), {}, call.codec, body, call.began, call.deadline, call.lends)
            made.pending, made.crashes, made.calls, made.depth = call.pending, call.crashes, call.calls, call.depth
            made.blob_losses, made.origin, made.python = call.blob_losses, call, wire.python_of(body)
            made.archive = _archive_of(with_names(call, body), reads=reads)
        except Unserialisable:  # also NotPacked
            return None
        return made


def _goes_by_value(function: Callable[..., Any]) -> bool:
    """Return whether a function is more than a name for a worker: then the thread that makes a call pickles it."""
    named = wire.encode_arguments("pickle", (function,))
    return wire.python_of(named) != "" or len(named) > _NAME_BYTES
