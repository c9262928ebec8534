"""Signing and verification at a client: each of its calls is sealed here, each outcome opened here.

Owns the times that go with both: when a call was sealed, how old an outcome may be that other calls share, and when
this client cleared a function's cache. Any thread may call it.
"""

from __future__ import annotations

from simpledist import policy, wire
from simpledist.buffers import Data
from simpledist.clock import ServerClock, moment
from simpledist.engine.call import Call
from simpledist.engine.known import Store
from simpledist.wire.keyring import Keyring


class Envelopes:
    """The keys of one client and the clock of its Redis."""

    def __init__(self, keyring: Keyring, clock: ServerClock, store: Store) -> None:
        self._keyring = keyring
        self._clock = clock
        self._store = store
        self._cleared_ms: dict[str, int] = {}  # function -> when this client cleared its cache, by Redis' clock

    def inherit(self, parent: Envelopes) -> None:
        """In the child of a fork: what the parent has cleared stays cleared."""
        self._cleared_ms.update(parent._cleared_ms)

    def seal(self, call: Call) -> Data:
        """Return the envelope in which a call travels.

        It has the same nonce each time, so that every attempt gives an interchangeable outcome; only the time is new.
        """
        now = moment()
        if not call.nonce:
            call.nonce, call.asked_at = wire.nonce(), now
        if call.wanted is None:
            key = call.spec.code.key
            call.wanted = self._store.of(key).wanted()
            if call.wanted != key.digest:  # what other code makes of it is not to be shared
                call.sharing = call.address = None
        call.sealed_at_ms = self._clock.ms(now)
        code, hard_timeout = call.spec.code, call.spec.hard_timeout
        sealed = wire.seal_call(
            call.spec.function,
            call.codec,
            call.body,
            self._keyring,
            call.wanted,
            nonce=call.nonce,
            sealed_at_ms=call.sealed_at_ms,
            packages=code.packages if call.wanted == code.key.digest else "",
            archive="" if call.archive is None else call.archive.name,
            address=call.address,
            batch=call.calls > 1,
            python=call.python,
            hard_ms=0 if hard_timeout is None else max(1, round(hard_timeout * 1000)),
        )
        call.digest = sealed.digest
        return sealed.data

    def open(self, call: Call, data: Data, *, cached: bool) -> wire.OpenOutcome:
        """Verify the outcome of a call; `cached`: it was kept in Redis. Raises BadEnvelope, also StaleOutcome."""
        not_before_ms = 0 if call.address is None else self._not_before_ms(call, cached=cached)
        return wire.open_outcome(call.spec.function, data, call.digest, self._keyring, not_before_ms)

    def _not_before_ms(self, call: Call, *, cached: bool) -> int:
        """Return when an outcome that is not bound to this very call must have been made."""
        if cached and call.sharing is not None:
            oldest_ms = self._clock.ms() - round(call.sharing.cache_seconds * 1000)
            return max(oldest_ms, self._cleared_ms.get(call.spec.function, 0))
        return self._clock.ms(call.asked_at) - round(policy.JOINED_SLACK_SECONDS * 1000)

    def cleared(self, function: str, at_ms: int) -> None:
        """Note that this client cleared the cache of a function: it accepts nothing that was kept before."""
        self._cleared_ms[function] = max(at_ms, self._cleared_ms.get(function, 0))

    def is_old(self, call: Call) -> bool:
        """Return whether to seal a call again, long before a worker would refuse it. A slow part of a batch runs."""
        age_ms = self._clock.ms() - call.sealed_at_ms
        return call.part is None and age_ms > policy.RESEAL_SECONDS * 1000
