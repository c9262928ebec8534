"""Jobs on their way to a child: claimed or handed to it, their calls fetched and verified, and sent to a child.

Owns the table of what is held. Bodies are opaque: envelopes are opened here, never decoded. How a job ends is in
outcomes.py and outcome_delivery.py, how it goes back in release.py. Used by the loop's one thread, which decides when;
raises RedisDown and RedisRefused to it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from simpledist import wire
from simpledist.broker.contents import Contents
from simpledist.broker.lane import function_of
from simpledist.broker.parsing import parse_given
from simpledist.broker.records import Claimed, Held, Take
from simpledist.buffers import Data
from simpledist.errors import BadEnvelope, MissingBlob, RedisRefused, Undecodable, WrongKey
from simpledist.faultpoints import point
from simpledist.printable import logger
from simpledist.worker.archive_cache import Archives
from simpledist.worker.batch_answers import Batch
from simpledist.worker.batching import Batching
from simpledist.worker.beat_schedule import BeatSchedule
from simpledist.worker.blob_store import BlobStore
from simpledist.worker.children import Children
from simpledist.worker.commands import Command, Commands, Trouble, nothing
from simpledist.worker.envelopes import Envelopes
from simpledist.worker.frames import BATCH, JOB, Order
from simpledist.worker.handoff import Handoff
from simpledist.worker.lane_turns import Turns
from simpledist.worker.links import Links
from simpledist.worker.other_code import OtherCode
from simpledist.worker.release import Release
from simpledist.worker.slot import Placed, Slot
from simpledist.worker.transfers import Transfers
from simpledist.worker.waiting_jobs import WaitingJob, WaitingJobs

log = logger("simpledist.worker")


class Jobs:
    """What is held, and in which slot."""

    def __init__(
        self,
        worker: str,
        held: dict[Held, Slot],
        *,
        links: Links,
        children: Children,
        envelopes: Envelopes,
        schedule: BeatSchedule,
        commands: Commands,
        transfers: Transfers,
        turns: Turns,
        batching: Batching,
        handoff: Handoff,
        waiting_jobs: WaitingJobs,
        archives: Archives,
        release: Release,
    ) -> None:
        self.held = held
        self.other_code = OtherCode(children)
        self._archives, self._blobs = archives, BlobStore()
        self._waiting_jobs = waiting_jobs
        self._stopping = False  # what is claimed from now on goes straight back
        self._worker = worker
        self._links = links
        self._children = children
        self._envelopes = envelopes
        self._schedule = schedule
        self._commands = commands
        self._transfers = transfers
        self._turns = turns
        self._batching = batching
        self._handoff = handoff
        self._release = release

    def running(self) -> list[Held]:
        """Return the jobs that children have."""
        return [placed.held for slot in self._children.slots for placed in slot.jobs.values()]

    def wanted(self, lane: str, free: Sequence[Slot]) -> Take | None:
        """Return what to ask for, with these slots free; None: there is no room."""
        return self._batching.wanted(lane, free, self._handoff.lane)

    # --- how a job comes -----------------------------------------------------------------------------------------

    def handed(self, element: bytes) -> bool:
        """Begin a job that Redis claimed for us while we were idle; return whether the element is one of ours."""
        try:
            one = parse_given(element)
        except ValueError:
            log.warning("dropped an element of the handoff list that is not of ours")
            return False
        self._handoff.arrived(one.held)
        self.begin([one])
        return True

    def claim(self, lane: str, element: bytes) -> None:
        """Claim a popped element, and more of the same lane for every other free slot."""
        # While the worker drains, what was popped in the last moment is claimed only to be given back at once.
        wish = self.wanted(lane, self._children.free())
        if wish is None or not wish.free:
            wish = Take(lane, (0,), idle_for=self._handoff.lane)
        nonce = self._commands.nonce()

        def send(again: bool) -> None:
            take = Take(lane, wish.slots[:1], idle_for=wish.idle_for) if self._stopping else wish
            claimed = self._links.command.claim(
                self._worker,
                nonce,
                lane,
                [element],
                take.slots,
                deep=take.deep,
                ahead=take.ahead,
                idle_for=take.idle_for,
                again=again,
            )
            self._handoff.claimed(take, len(claimed))
            if not claimed:
                # Redis may have been emptied: it gives no jobs to a worker that it does not know.
                self._schedule.at_once()
            self.begin(claimed, take)

        self._commands.put(Command("claim", send, nothing))

    def begin(self, claimed: list[Claimed], take: Take | None = None) -> None:
        """Send claimed jobs to the slots that were named for them; what cannot begin goes back, or fails, at once."""
        if not claimed:
            return
        point("worker.claimed")
        self._turns.took(len(claimed))
        free = {slot.number: slot for slot in self._children.free()}
        room = free
        if take is not None and take.ahead:
            room = free | {slot.number: slot for slot in self._batching.ahead(function_of(take.lane))}
        orders: defaultdict[int, list[Order]] = defaultdict(list)
        back: list[Held] = []
        try:
            for one in claimed:
                if one.held in self.held:
                    continue  # of a claim sent again, which was cut short among its jobs
                number = one.slot if one.slot in room else next(iter(free), -1)
                if self._stopping or number < 0:
                    back.append(one.held)
                elif one.call is None:
                    self._fetch(room[number], one)
                elif (order := self._place(room[number], one, one.call)) is not None:
                    orders[number].append(order)
        finally:
            for number, some in orders.items():
                self._begin_in(room[number], some)
        self._release.release(back)

    def _fetch(self, slot: Slot, claimed: Claimed) -> None:
        """Fetch a big call, which travels by itself: it comes slice by slice, and this slot is kept for it."""
        held, number = claimed.held, slot.number
        self.held[held] = slot

        def arrived(call: Data | None) -> None:
            del self.held[held]
            if call is None or number >= len(self._children.slots):
                self._release.release([held])
                return
            at = self._children.slots[number]
            if (order := self._place(at, claimed, call)) is not None:
                self._begin_in(at, [order])

        download = self._links.command.download_call(held.id)
        self._transfers.fetch(held, slot, download, arrived, lambda error: self._release.undeliverable(held, error))

    def _fetch_need(self, slot: Slot, claimed: Claimed, call: wire.OpenCall) -> bool:
        """Fetch what a job needs apart from its call, then it waits for its child; False where all is here."""
        held, number = claimed.held, slot.number
        archive, blob = "", ""
        # Where the child has its modules no file is looked for: that takes a tenth of a lone call.
        if call.archive not in ("", slot.archive) and self._archives.path(call.archive) is None:
            archive = call.archive
        else:
            blob = next((name for name in wire.names_in(call.body) if self._blobs.path(name) is None), "")
        if not archive and not blob:
            return False
        self.held[held] = slot

        def arrived(data: Data | None) -> None:
            point("worker.fetched")
            try:
                if archive and self._archives.path(archive) is None:  # no other job has brought it
                    if data is None:
                        raise BadEnvelope("the archive with its modules is not in Redis any more")
                    self._archives.keep(archive, data)
                elif blob and self._blobs.path(blob) is None:
                    self._blobs.keep(blob, data, self._blobs_in_use())
            except (BadEnvelope, MissingBlob, OSError) as error:
                self._release.fail(held, "undecodable", str(error))
                return
            at = self._children.at(number)
            if at is None or not self._fetch_need(at, claimed, call):
                self._waiting_jobs.wait(number, WaitingJob(claimed, call))

        link, keys = self._links.command.link, self._links.keys
        if archive:
            coming = self._archives.coming(archive, Contents(link, keys, "archive").download)
        else:
            coming = self._blobs.coming(blob, Contents(link, keys, "blob").download)

        def never(error: Trouble) -> None:
            if blob and isinstance(error, RedisRefused):  # what has its key is no blob: its client can put it again
                self._release.fail(held, "undecodable", str(MissingBlob(f"{blob} cannot be read: {error}")))
            else:
                self._release.undeliverable(held, error)

        self._transfers.fetch(held, slot, coming, arrived, never)
        return True

    def _blobs_in_use(self) -> set[str]:
        """Return the shared objects of jobs that children have, or wait for."""
        return {name for slot in self._children.slots for placed in slot.jobs.values() for name in placed.blobs}

    def move_on(self) -> None:
        """Begin the jobs whose child has come."""
        for slot, (claimed, call) in self._waiting_jobs.step() if self._waiting_jobs.by_slot else ():
            if why := self._children.archives.refusal(call.archive):
                self._release.fail(claimed.held, "undecodable", why)
            elif not self._fetch_need(slot, claimed, call):  # what it needs may have gone meanwhile
                self._begin_in(slot, [self._order(slot, claimed, call)])

    def _place(self, slot: Slot, claimed: Claimed, data: Data) -> Order | None:
        """Verify a call, and note it as the last job of a slot; None where it is refused."""
        held, function = claimed.held, claimed.held.function
        self._batching.saw_call(function, big=claimed.call is None)
        try:
            call = self._envelopes.open(function, data)
        except WrongKey as error:
            self._release.fail(held, "key", str(error))
            return None
        except (BadEnvelope, Undecodable) as error:
            self._release.fail(held, "undecodable", str(error))
            return None
        del data  # the channel lets go of it, piece by piece
        if self.other_code.differs(function, call.code, call.packages):
            # Its code reaches another package, which differs here; or it was submitted for code that this worker had,
            # before a new template loaded what is on disk now.
            self._release.fail(held, "other_code", "other code than its caller asked for")
            return None
        if why := self._children.archives.refusal(call.archive):
            self._release.fail(held, "undecodable", why)
            return None
        if self._fetch_need(slot, claimed, call):
            return None
        if not self._children.suits(slot, call.archive):
            self.held[held] = slot
            self._waiting_jobs.wait(slot.number, WaitingJob(claimed, call))
            return None
        return self._order(slot, claimed, call)

    def _order(self, slot: Slot, claimed: Claimed, call: wire.OpenCall) -> Order:
        """Note a job as the last one of a slot, whose child has its modules or gets them; return the order."""
        held, function = claimed.held, claimed.held.function
        if call.archive != slot.archive:
            slot.enter(call.archive, str(self._archives.path(call.archive)))
        elif call.archive:
            self._children.archives.used(call.archive, time.monotonic())
        blobs = wire.names_in(call.body)
        for name in blobs:
            slot.lend(name, self._blobs.path(name) or "")
        hard_seconds = call.hard_ms / 1000 if call.hard_ms else None
        self._children.limited = self._children.limited or hard_seconds is not None
        batch = Batch() if call.batch else None
        index = slot.place(Placed(held, call.codec, call.digest, batch, blobs, hard_seconds))
        self.held[held] = slot
        log.debug("job %s (%s, attempt %d) goes to slot %d", held.id, function, claimed.attempt, slot.number)
        kind = BATCH if call.batch else JOB
        return Order(kind, index, codec=wire.codec_id(call.codec), id=held.id, function=function, body=call.body)

    def _begin_in(self, slot: Slot, orders: list[Order]) -> None:
        slot.begin(orders, time.monotonic(), self._batching.patience_seconds(orders[0].function))
        point("worker.begun")

    # --- how it is called off ------------------------------------------------------------------------------------

    def stop_beginning(self) -> None:
        """Begin nothing from now on: what no child has begun goes back, and what is not here yet."""
        self._stopping = True
        self.give_back_expected()
        self._release.not_begun()

    def give_back_expected(self) -> None:
        """Release the jobs whose calls are not here yet, or whose child."""
        self._release.release(self._transfers.drop_coming() + self._waiting_jobs.drop_all())

    def cancel(self, name: str) -> None:
        """Stop the attempt that is named `<job id>:<fence>`."""
        for held in list(self.held):
            if name == f"{held.id}:{held.fence}":
                self.call_off(held, "cancelled")

    def call_off(self, held: Held, reason: str) -> None:
        """Stop a job at once: if it runs, its child is killed and the slot gets a fresh one; others are not harmed."""
        slot = self.held.get(held)
        if slot is not None and (self._transfers.drop(held) or self._waiting_jobs.drop(held)):
            del self.held[held]
            return
        index = next((i for i, placed in slot.jobs.items() if placed.held == held), None) if slot is not None else None
        if slot is None or index is None:
            return
        log.info("job %s (%s) is stopped: %s", held.id, held.function, reason)
        front = index == next(iter(slot.jobs))
        del self.held[held], slot.jobs[index]
        if not front:
            self._release.since(slot, index)
            return
        behind = slot.take_from(index)
        self._children.replace(slot, kill=True)
        self._release.release(behind)
