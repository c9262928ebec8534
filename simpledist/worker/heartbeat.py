"""Registration and heartbeats of this worker: it registers by its row, and a heartbeat every 2.5 s names what it holds.

Used by the loop's one thread, and only while that loop turns, or a command whose bytes move slowly makes progress
(`beat_meanwhile`): a worker whose loop stands still sends no heartbeat, and Redis declares it dead after 10 s
(broker/lua/_worker_death.lua). When a heartbeat is due is in beat_schedule.py, what the row says in
row.py.
"""

from __future__ import annotations

import sys
import time
from collections import deque

from simpledist import policy
from simpledist.broker.lane import parsed
from simpledist.broker.records import NO_KEY, Beaten, Held, Traits
from simpledist.broker.worker_stats import WorkerStats
from simpledist.faultpoints import point
from simpledist.printable import logger
from simpledist.worker.beat_schedule import BeatSchedule
from simpledist.worker.children import Children
from simpledist.worker.jobs import Jobs
from simpledist.worker.links import Links
from simpledist.worker.outcomes import Outcomes
from simpledist.worker.row import Row, Trouble
from simpledist.worker.stats import stats

log = logger("simpledist.worker")

NAMED_OFFERS = 4  # so many of its offers a heartbeat names, so that Redis says if it has lost one
TELL_CODE_SECONDS = 3600.0  # so often Redis hears again which code this is: that has a TTL
STAMP_DIGITS = 16  # of a moment in microseconds
MISSING_BEATS = 3  # so often a held job may be unknown to Redis; its client would have submitted it again by then


class Heartbeat:
    """The worker's registration and its heartbeats."""

    def __init__(
        self,
        worker: str,
        *,
        links: Links,
        schedule: BeatSchedule,
        children: Children,
        jobs: Jobs,
        outcomes: Outcomes,
        row: Row,
        traits: Traits,
        timings: policy.Timings,
    ) -> None:
        self.registered = False
        self.ever_registered = (
            False  # Redis took us once: if it refuses us later, an operator may be about to repair it
        )
        self.offering = True  # a worker that drains, has no child, or cannot bring outcomes to Redis offers nothing
        self.trouble = Trouble()
        self.lanes: list[str] = []  # that Redis gave us to take jobs from
        self._worker = worker
        self._links = links
        self._schedule = schedule
        self._children = children
        self._jobs = jobs
        self._outcomes = outcomes
        self._row = row
        self._traits = traits
        self._timings = timings
        self._missing: dict[Held, int] = {}
        self._roll_call = 0  # the newest one: microseconds of Redis' clock
        self._offers: deque[str] = deque()  # what this worker offers, as Redis knows it; each heartbeat names some
        self._stats = WorkerStats()  # as Redis has them
        self._asks_for_lanes_at = float("inf")
        self._code: dict[str, str] = {}  # as Redis knows it
        self._code_due = 0.0
        links.beats_meanwhile(self.beat_meanwhile)

    # --- what there is to tell -----------------------------------------------------------------------------------

    def tell(self, trouble: Trouble, *, offering: bool) -> None:
        """Note whether children start and commands get through; what is new goes into the row at once."""
        if (trouble, offering) == (self.trouble, self.offering):
            return
        if not trouble:
            log.info("worker %s: all is well again", self._worker)
        elif offering:
            log.warning("worker %s: %s; it goes on with the others", self._worker, trouble.text)
        else:
            log.error("worker %s: %s; it offers nothing until that is over", self._worker, trouble.text)
        self.trouble, self.offering = trouble, offering
        self.register_anew()

    def register_anew(self) -> None:
        """Register with the next heartbeat, which is due at once: the connection, the row or the lanes have changed."""
        self.registered = False
        self._schedule.at_once()

    def answer(self, roll_call: bytes) -> None:
        """Beat at once, for Redis was emptied; pass the roll call on, once, so all who wait in their pops hear it.

        An older one than the newest is dropped: two that were passed on in turns would go round for ever, and a pop
        asks for them before it asks for jobs. The list goes with it: it may hold any number that somebody wrote.
        """
        if roll_call.isdigit() and len(roll_call) <= STAMP_DIGITS and int(roll_call) > self._roll_call:
            self._roll_call = int(roll_call)
            self._schedule.at_once()
            self._links.command.pass_on(roll_call)
        else:
            self._links.discard(self._links.keys.rollcall)

    # --- the heartbeat -------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Return whether the next heartbeat, which must name what we hold, is due."""
        return self.registered and time.monotonic() >= self._schedule.next_at

    def beat(self) -> None:
        """Send a heartbeat if it is due, and stop what its answer says need not go on."""
        if self._row.offers_wrongly():
            self.register_anew()
        if time.monotonic() < self._schedule.next_at or not self._links.beat.link.connected:
            return
        if self.offering and (self._row.lacks_news() or time.monotonic() >= self._asks_for_lanes_at):
            self.registered = False
        point("worker.beat")
        self._tell_code()
        beaten = self._beat()
        if not beaten.known:
            self.registered, self._code_due = False, 0.0
            self._tell_code()
            beaten = self._beat()
        if beaten.lanes or not self.registered:
            self._take_lanes(beaten.lanes)
        is_first = not self.ever_registered
        self.registered = self.ever_registered = True
        self._schedule.answered()
        self._links.served()
        if is_first:
            log.info("worker %s is ready", self._worker)
        for held in beaten.stop:
            self._jobs.call_off(held, "no client waits for it, or it runs elsewhere")
        self._missing = {held: self._missing.get(held, 0) + 1 for held in beaten.missing}
        for held, times in self._missing.items():
            if times >= MISSING_BEATS:
                self._jobs.call_off(held, "Redis does not know it, and no client asks for it")
        self._links.look_at_redis()

    def _take_lanes(self, lanes: list[str]) -> None:
        """Take jobs from these lanes; ask again later where another code has the plain one, which it may leave."""
        self.lanes = lanes
        another = any(parsed(lane).code for lane in lanes)
        self._asks_for_lanes_at = time.monotonic() + self._timings.lanes_seconds if another else float("inf")

    def _tell_code(self) -> None:
        """Tell Redis which code this worker has loaded, for people who compare it with theirs: before it offers it."""
        code, now = self._children.template.code, time.monotonic()
        if code and (code is not self._code or now >= self._code_due):
            self._links.beat.tell_code(self._worker, code)
            self._code, self._code_due = code, now + TELL_CODE_SECONDS

    def beat_meanwhile(self) -> None:
        """Beat if due in the middle of another command, whose bytes move slowly; what we hold is reported afterwards.

        Raises RedisDown where this is not answered either: then the other need not be waited for.
        """
        now = time.monotonic()
        if now < self._schedule.next_at or not self.registered or not self._links.beat.link.connected:
            return
        self._schedule.sent(now)
        if self._links.beat.still_here(self._worker):
            self._schedule.answered()
        else:
            self.registered = False

    def _beat(self) -> Beaten:
        now_stats = stats(self._children, self._outcomes)
        news = "" if self.registered and now_stats == self._stats else now_stats.text
        self._stats = now_stats
        held = list(self._jobs.held)
        connection = self._links.beat.link.identity or "-"
        row, offers = None, dict[str, str]()
        if not self.registered:
            row, offers = self._row.made(self.trouble, connection, offering=self.offering)
            self._offers = deque(offers)
        beaten = self._links.beat.beat(
            self._worker,
            connection,
            held,
            row,
            offers,
            places=self._children.template.places,
            traits=self._traits,
            offered=self._some_offers() if row is None else (),
            slots=self._children.count,
            stats=news,
        )
        if beaten.clock is not None:
            self._links.clock.read(beaten.clock)
        return beaten

    def _some_offers(self) -> list[str]:
        """Return the offers that this heartbeat names; each has its turn."""
        if not self.offering:
            return []
        some = [self._offers[i] for i in range(min(len(self._offers), NAMED_OFFERS))]
        self._offers.rotate(-len(some))
        return some

    def leave(self, *, final: bool) -> None:
        """Withdraw the offers; `final`: and go."""
        self.offering = False
        if self._links.command.link.connected:
            self._links.command.leave(self._worker, final=final)


def own_traits(keys: tuple[str, ...], tags: tuple[str, ...]) -> Traits:
    """Return what each offer of this worker says: the ids of its keys, its Python, its tags."""
    return Traits(keys=keys or (NO_KEY,), python=f"{sys.version_info.major}.{sys.version_info.minor}", tags=tags)
