"""Verification and signing at a worker: each call is opened here, each outcome sealed, and neither is decoded.

Owns the keys and the times that go with both, which are those of Redis' clock. jobs.py opens, outcomes.py seals.
"""

from __future__ import annotations

from simpledist import wire
from simpledist.buffers import Data
from simpledist.clock import ServerClock
from simpledist.wire.keyring import Keyring
from simpledist.worker.slot import Placed


class Envelopes:
    """The keys of one worker and the clock of its Redis."""

    def __init__(self, keyring: Keyring, clock: ServerClock) -> None:
        self._keyring = keyring
        self._clock = clock

    def open(self, function: str, data: Data) -> wire.OpenCall:
        """Verify a call. Raises WrongKey, BadEnvelope and, for code of another Python minor, Undecodable."""
        return wire.open_call(function, data, self._keyring, self._clock.ms())

    def seal(self, placed: Placed, kind: wire.Kind, body: Data | memoryview) -> Data:
        """Return the envelope of an outcome of the call."""
        function, now_ms = placed.held.function, self._clock.ms()
        return wire.seal_outcome(function, placed.codec, kind, body, placed.digest, self._keyring, now_ms)
