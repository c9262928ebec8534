"""How Redis knows that a worker lives: its row, its offers, its beats.

Used by the loop's one thread, and only while that loop turns: a worker whose loop stands still is dead, and is seen
to be.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from typing import Any

from simpledist import __version__, policy
from simpledist.broker.records import NO_KEY, Beaten, Held, Traits
from simpledist.faultpoints import point
from simpledist.worker.children import Children
from simpledist.worker.jobs import Jobs
from simpledist.worker.links import Links
from simpledist.worker.vitals import vitals

log = logging.getLogger("simpledist.worker")

RETELL_MS = 60_000  # so often does the row say again that clients come with other code
MISSING_BEATS = 3  # so often may a held job be unknown to Redis; its client would have submitted it again by then


class Presence:
    """The worker's row and its beats."""

    def __init__(
        self,
        worker: str,
        label: str,
        links: Links,
        children: Children,
        jobs: Jobs,
        timings: policy.Timings,
        *,
        keys: tuple[str, ...],
    ) -> None:
        self.registered = False
        self.ever_registered = False  # Redis took us once: if it refuses us later, somebody may be about to mend it
        self.offering = True  # whoever drains, has no child, or cannot bring outcomes to Redis, offers nothing
        self.trouble = ""  # what keeps children from starting, or outcomes from getting through
        self.next_beat = 0.0
        self._soon = 0.0  # one beat more is due then
        self._worker = worker
        self._label = label
        self._links = links
        self._children = children
        self._jobs = jobs
        self._timings = timings
        self._missing: dict[Held, int] = {}
        self._roll_call = b""  # the last one
        self._vitals = ""  # as Redis has them
        self.lanes: list[str] = []  # that Redis gave us to take jobs from
        self._told: dict[str, int] = {}  # what the row says of mismatches
        self._refusals_told = 0  # ... and of refusals: those until then, Unix milliseconds
        self._withdrawn: frozenset[str] = frozenset()  # the functions that the row does not offer for the time being
        self._protocols: dict[str, float] = {}  # others, which clients speak -> when we said so
        links.beats_meanwhile(self.beat_meanwhile)
        self._started_ms = round(time.time() * 1000)
        self._keys = keys or (NO_KEY,)

    def tell(self, trouble: str, *, offering: bool) -> None:
        """Note whether children start and commands get through; what is new goes into the row at once."""
        if (trouble, offering) == (self.trouble, self.offering):
            return
        if not trouble:
            log.info("worker %s: all is well again", self._worker)
        elif offering:
            log.warning("worker %s: %s; it goes on with the others", self._worker, trouble)
        else:
            log.error("worker %s: %s; it offers nothing until that is over", self._worker, trouble)
        self.trouble, self.offering = trouble, offering
        self.again()

    def again(self) -> None:
        """The beat connection is a new one, or our lanes have changed: register at once."""
        self.registered = False
        self.next_beat = 0.0

    def due(self) -> bool:
        """Whether the next beat, which is to name what we hold, is due."""
        return self.registered and time.monotonic() >= self.next_beat

    def beat_soon(self) -> None:
        """What we were given and have not got is missed by the first beat after its grace."""
        self._soon = time.monotonic() + self._timings.unheld_seconds + 0.02
        self.next_beat = min(self.next_beat, self._soon)

    def called(self, roll_call: bytes) -> None:
        """Redis was emptied: beat at once, and pass it on, once; so it comes to all that wait in their pops."""
        if roll_call != self._roll_call:
            self._roll_call = roll_call
            self.next_beat = 0.0
            self._links.command.pass_on(roll_call)

    def beat(self) -> None:
        """Beat when due, name what is held, and stop what need not go on."""
        broker = self._links.beat
        if self._jobs.claimed_nothing or self._links.beats_next:
            # Redis may have been emptied: it gives no jobs to a worker that it does not know.
            self._jobs.claimed_nothing, self._links.beats_next, self.next_beat = False, False, 0.0
        if self._jobs.refusals.withdrawn() != self._withdrawn:
            self.again()
        if not broker.link.connected or time.monotonic() < self.next_beat:
            return
        self.registered = self.registered and not (self._mismatch_to_tell() or self._refusal_to_tell())
        point("worker.beat")
        beaten = self._beat()
        if not beaten.known:
            self.registered = False
            beaten = self._beat()
        if beaten.lanes or not self.registered:
            self.lanes = beaten.lanes
        self.registered = True
        self._links.served()
        if not self.ever_registered:
            self.ever_registered = True
            log.info("worker %s is ready", self._worker)
        now = time.monotonic()
        self.next_beat = now + self._timings.beat_seconds
        if self._soon > now:
            self.next_beat = min(self.next_beat, self._soon)
        for held in beaten.stop:
            self._jobs.call_off(held, "nobody waits for it, or it runs elsewhere")
        self._missing = {held: self._missing.get(held, 0) + 1 for held in beaten.missing}
        for held, times in self._missing.items():
            if times >= MISSING_BEATS:
                self._jobs.call_off(held, "Redis does not know it, and no client asks for it")

    def beat_meanwhile(self) -> None:
        """Beat when due in the middle of another command, whose bytes move slowly; what we hold is told afterwards.

        Raises RedisDown where this is not answered either: then nobody need wait for the other.
        """
        now = time.monotonic()
        if now < self.next_beat or not self.registered or not self._links.beat.link.connected:
            return
        self.next_beat = now + self._timings.beat_seconds
        if self._links.beat.still_here(self._worker):
            self._links.beats += 1
        else:
            self.registered = False

    def _beat(self) -> Beaten:
        pids = [os.getpid(), *(slot.pid for slot in self._children.slots if slot.pid is not None)]
        state = vitals(pids, at_work=sum(bool(slot.jobs) for slot in self._children.slots), done=self._jobs.done)
        news = "" if self.registered and state == self._vitals else state
        self._vitals = state
        held = list(self._jobs.held)
        row, offers = self._introduction()
        beaten = self._links.beat.beat(
            self._worker,
            self._connection(),
            held,
            row,
            offers,
            traits=self._traits(),
            slots=self._children.count,
            vitals=news,
        )
        if beaten.clock is not None:
            self._links.clock.read(beaten.clock)
        return beaten

    def leave(self, *, final: bool) -> None:
        """Withdraw the offers; `final`: and go."""
        self.offering = False
        if self._links.command.link.connected:
            self._links.command.leave(self._worker, final=final)

    def _connection(self) -> str:
        return self._links.beat.link.identity or "-"

    def _mismatch_to_tell(self) -> bool:
        """Whether the row does not say yet, or not of late, for which functions clients hold other code."""
        news = self._jobs.other_code.seen.items()
        return self.offering and any(at - self._told.get(function, 0) >= RETELL_MS for function, at in news)

    def _refusal_to_tell(self) -> bool:
        """Whether the row does not say yet, or not of late, what this worker refuses."""
        last_ms, told_ms = self._jobs.refusals.last_ms, self._refusals_told
        return self.offering and last_ms > told_ms and (not told_ms or last_ms - told_ms >= RETELL_MS)

    def other_protocol(self, number: str) -> None:
        """Clients call what this worker offers, and speak another protocol: say so, once a minute for each."""
        now = time.monotonic()
        if now - self._protocols.get(number, float("-inf")) >= RETELL_MS / 1000:
            self._protocols[number] = now
            log.warning(
                "clients call functions of this worker by protocol %s of simpledist, this worker speaks protocol %d: "
                "those calls run at their callers; install the same version on both sides",
                number,
                policy.PROTOCOL,
            )

    def _traits(self) -> Traits:
        return Traits(keys=self._keys, python=f"{sys.version_info.major}.{sys.version_info.minor}")

    def _introduction(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The row, while Redis does not have it; a worker that drains offers nothing."""
        if self.registered:
            return None, []
        refusals = self._jobs.refusals
        self._withdrawn = refusals.withdrawn()
        offers = sorted(self._children.functions.keys() - self._withdrawn) if self.offering else []
        self._told, self._refusals_told = dict(self._jobs.other_code.seen), refusals.last_ms
        row = {
            "host": platform.node(),
            "pid": os.getpid(),
            "label": self._label,
            "functions": offers,
            "fingerprints": {name: known for name in offers if (known := self._children.functions[name])},
            "slots": self._children.count,
            "started": self._started_ms,
            "python": platform.python_version(),
            "simpledist": __version__,
            "protocol": policy.PROTOCOL,
            "keys": list(self._keys),
            "mismatched": self._told,
            "refusals": refusals.row(),
            "withdrawn": sorted(self._withdrawn),
            "trouble": self.trouble,
            "generators": self._children.shared_generators,
            "connection": self._connection(),
        }
        return row, offers
