"""The jobs in a worker's hands: from the claim's reply until Redis has answered for their end.

Owns what is held and every verb that ends or returns a job. What could not be sent is kept in order and sent again,
with its nonce, until Redis has answered it. Bodies are opaque: envelopes are opened and sealed here, never decoded.
Used by the loop's one thread (worker.py), which decides when; raises RedisDown and RedisRefused to it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simpledist import wire
from simpledist.broker.records import Claimed, Ended, Failed, Held, Take
from simpledist.errors import BadEnvelope, WrongKey
from simpledist.faultpoints import point
from simpledist.pieces import Data
from simpledist.signing import Keyring
from simpledist.worker.children import Children, Slot
from simpledist.worker.links import Links

log = logging.getLogger("simpledist.worker")

ERROR_CHARACTERS = 300
TOLD_CHARACTERS = 3000  # of an error with its traceback


@dataclass
class Errand:
    """A verb on its way to Redis: sent again, and said to be so, until it is answered."""

    send: Callable[[bool], None]
    again: bool = False


class Jobs:
    """What is held, and the errands that wait for Redis."""

    def __init__(self, worker: str, links: Links, children: Children, keyring: Keyring, recycle: int | None) -> None:
        self.held: dict[Held, Slot] = {}
        self.stopping = False  # what is claimed from now on goes straight back
        self.done = 0  # jobs that a child brought to an end
        self.taken = 0  # jobs begun since the loop last set it to 0
        self._worker = worker
        self._links = links
        self._children = children
        self._keyring = keyring
        self._recycle = recycle
        self._errands: deque[Errand] = deque()
        self._ended: list[Ended] = []
        self.mismatched: dict[str, int] = {}  # function -> when a client last came with other code, ms

    def work_off(self) -> None:
        """Send what waits for Redis, in order."""
        while self._errands and self._links.command.link.connected:
            errand = self._errands[0]
            again, errand.again = errand.again, True
            errand.send(again)
            self._errands.popleft()

    def waiting(self) -> bool:
        """Whether anything is still to be told to Redis."""
        return bool(self._errands or self._ended)

    def ended(self) -> str | None:
        """The function of the last outcome that `complete` will bring, None if there is none."""
        return self._ended[-1].held.function if self._ended else None

    def running(self) -> list[Held]:
        return [slot.job.held for slot in self._children.slots if slot.job is not None]

    # --- how a job comes -----------------------------------------------------------------------------------------

    def claim(self, function: str, element: bytes) -> None:
        """Claim a popped element, and more of the same function for every other free slot."""
        # While the worker drains, what was popped in the last moment is claimed only to be given back at once.
        slots = [slot.number for slot in self._children.free()] or [0]
        nonce = secrets.token_hex(8)

        def send(again: bool) -> None:
            wanted = slots[:1] if self.stopping else slots
            claimed = self._links.command.claim(self._worker, nonce, function, [element], wanted, again=again)
            self._begin_all(claimed)

        self._errands.append(Errand(send))

    def _begin_all(self, claimed: list[Claimed]) -> None:
        if claimed:
            point("worker.claimed")
        self.taken += len(claimed)
        for one in claimed:
            self._begin(one)

    def _begin(self, claimed: Claimed) -> None:
        """A claimed job goes to a free slot; what cannot be begun is given back or failed at once."""
        held = claimed.held
        free = self._children.free()
        data = None
        if free and not self.stopping:
            data = claimed.call if claimed.call is not None else self._links.command.call_bytes(held.id)
        if data is None:
            self.release([held])
            return
        slot = next((one for one in free if one.number == claimed.slot), free[0])
        try:
            call = wire.open_call(held.function, data, self._keyring)
        except WrongKey as error:
            self.fail(held, "key", str(error))
            return
        except BadEnvelope as error:
            self.fail(held, "undecodable", str(error))
            return
        data = None  # the channel lets go of it, piece by piece
        self._compare(held.function, call.fingerprint)
        slot.job, slot.digest = claimed, call.digest
        self.held[held] = slot
        log.debug("job %s (%s, attempt %d) begins", held.id, held.function, claimed.attempt)
        slot.channel.send({"job": held.id, "function": held.function, "codec": call.codec}, call.body)
        point("worker.begun")

    def _compare(self, function: str, theirs: str) -> None:
        """Stale code on a worker is the likeliest wrong value in practice: say so once, and note it for the row."""
        if not wire.differs(self._children.functions.get(function, ""), theirs):
            return
        if function not in self.mismatched:
            log.warning(
                "function %s: a client holds other code than this worker; restart the one that is stale, "
                "or give it a version (%s@2)",
                function,
                function,
            )
        self.mismatched[function] = round(time.time() * 1000)

    # --- how a job goes ------------------------------------------------------------------------------------------

    def end(self, slot: Slot, fields: dict[str, Any], body: Data) -> None:
        """A child brought its job to an end; `complete` brings it to Redis."""
        assert slot.job is not None
        held, slot.job = slot.job.held, None
        slot.jobs_done += 1
        self.done += 1
        kind, codec, error = fields["kind"], fields["codec"], fields["error"]
        log.debug("job %s (%s): %s in %d ms", held.id, held.function, kind, fields["run_ms"])
        if kind in ("value", "error"):
            outcome = wire.seal_outcome(held.function, codec, kind, body, slot.digest, self._keyring)
            self._ended.append(Ended(held, kind, outcome, fields["run_ms"], error[:TOLD_CHARACTERS]))
        else:
            self.fail(held, kind, error)
        if self._recycle and slot.jobs_done >= self._recycle:
            self._children.replace(slot, kill=False)

    def complete(self, take: Take | None) -> None:
        """Bring every outcome of this turn to Redis, and take next jobs in the same step."""
        ended, self._ended = self._ended, []
        nonce = secrets.token_hex(8)

        def send(again: bool) -> None:
            point("worker.ended")
            _, claimed = self._links.command.complete(self._worker, nonce, ended, take, again=again)
            point("worker.completed")
            for one in ended:
                self.held.pop(one.held, None)
            self._begin_all(claimed)

        self._errands.append(Errand(send))

    def fail(self, held: Held, why: str, error: str) -> None:
        """The cluster, not the function, ends this attempt."""
        log.warning("job %s (%s): %s: %s", held.id, held.function, why, error)

        def send(_: bool) -> None:
            self._links.command.fail(self._worker, [Failed(held, why, error[:ERROR_CHARACTERS])])
            self.held.pop(held, None)

        self._errands.append(Errand(send))

    def release(self, helds: list[Held]) -> None:
        """Give jobs back, blaming nobody."""

        def send(_: bool) -> None:
            self._links.command.release(self._worker, helds)
            for held in helds:
                self.held.pop(held, None)

        self._errands.append(Errand(send))

    def call_off(self, held: Held, reason: str) -> None:
        """Stop a running job at once: its child is killed, the slot gets a fresh one."""
        slot = self.held.get(held)
        if slot is None or slot.job is None or slot.job.held != held:
            return
        log.info("job %s (%s) is stopped: %s", held.id, held.function, reason)
        del self.held[held]
        slot.job = None
        self._children.replace(slot, kill=True)

    def control(self, word: str) -> None:
        """A word from the control list: `cancel <job id>:<fence>`."""
        verb, _, name = word.partition(" ")
        for held in list(self.held):
            if verb == "cancel" and name == f"{held.id}:{held.fence}":
                self.call_off(held, "cancelled")
