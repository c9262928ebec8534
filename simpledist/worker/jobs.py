"""The jobs in a worker's hands: from the claim's reply until Redis has answered for their end.

Owns what is held and every verb that ends or returns a job. What could not be sent is kept in order and sent again,
with its nonce, until Redis has answered it. Bodies are opaque: envelopes are opened and sealed here, never decoded.
Used by the loop's one thread (worker.py), which decides when; raises RedisDown and RedisRefused to it.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from simpledist import policy, wire
from simpledist.broker.broker import parse_given
from simpledist.broker.lane import function_of
from simpledist.broker.records import Claimed, Ended, Failed, Held, Take
from simpledist.buffers import Data
from simpledist.errors import BadEnvelope, RedisRefused, Undecodable, WrongKey
from simpledist.faultpoints import point
from simpledist.wire.signing import Keyring
from simpledist.worker import parts
from simpledist.worker.channel import CHUNK, JOB, PARTS, RECALL, Frame
from simpledist.worker.children import Children, Placed, Slot
from simpledist.worker.envelopes import Envelopes
from simpledist.worker.errands import Errand, Errands, Trouble, batches, nothing
from simpledist.worker.links import Links, Pop
from simpledist.worker.paces import Paces
from simpledist.worker.recalls import Recalls
from simpledist.worker.refusals import Refusals
from simpledist.worker.stale import OtherCode
from simpledist.worker.transfers import Transfers

log = logging.getLogger("simpledist.worker")

ERROR_CHARACTERS = 300
TOLD_CHARACTERS = 3000  # of an error with its traceback


class Jobs:
    """What is held, and the errands that wait for Redis."""

    def __init__(self, worker: str, links: Links, children: Children, keyring: Keyring, recycle: int | None) -> None:
        self.held: dict[Held, Slot] = {}
        self.stopping = False  # what is claimed from now on goes straight back
        self.done = 0  # jobs that a child brought to an end
        self.taken = 0  # jobs begun since the loop last set it to 0
        self._idle_for = ""  # the lane whose next lone job Redis gives us
        self._lone: Held | None = None  # the last job that was given to us while we were idle
        self.claimed_nothing = False  # the last claim
        self._worker = worker
        self._links = links
        self._children = children
        self._envelopes = Envelopes(keyring, links.clock)
        self._numbers = itertools.count(1)
        self._recycle = recycle
        self.errands = Errands(links)
        self.transfers = Transfers(links)
        self._ended: list[Ended] = []
        self.other_code = OtherCode(children)
        self.refusals = Refusals()
        self._paces = Paces(children, recycle)
        self._recalls = Recalls(children, self._paces, self.release)

    def _nonce(self) -> str:
        """By which a verb of this worker is known when it is said again."""
        return f"n{next(self._numbers)}"

    def waiting(self) -> bool:
        """Whether anything is still to be told to Redis, or more big values are on their way than there are slots."""
        return bool(self.errands or self._ended) or len(self.transfers) > len(self._children.slots)

    def unsaid(self) -> bool:
        """Whether anything is still on its way to Redis, or from it."""
        return bool(self.errands or self._ended or self.transfers)

    def ended(self) -> str | None:
        """The lane of the last outcome that `complete` will bring."""
        return self._ended[-1].held.lane if self._ended else None

    def lone_ended(self) -> bool:
        """Whether all that `complete` has to bring is the one job that we were given while we were idle."""
        return len(self._ended) == 1 and self._ended[0].held == self._lone and not self.errands

    def running(self) -> list[Held]:
        return [placed.held for slot in self._children.slots for placed in slot.jobs.values()]

    def wanted(self, lane: str, free: Sequence[Slot]) -> Take | None:
        """What to ask for, with these slots free; None: there is no room."""
        return self._paces.wanted(lane, free, self._idle_for)

    # --- how a job comes -----------------------------------------------------------------------------------------

    def given(self, element: bytes) -> None:
        """A job that Redis claimed for us."""
        one = parse_given(element)
        self._idle_for, self._lone = "", one.held
        self._begin_all([one])

    def claim(self, lane: str, element: bytes) -> None:
        """Claim a popped element, and more of the same lane for every other free slot."""
        # While the worker drains, what was popped in the last moment is claimed only to be given back at once.
        wish = self.wanted(lane, self._children.free())
        if wish is None or not wish.free:
            wish = Take(lane, (0,), idle_for=self._idle_for)
        nonce = self._nonce()

        def send(again: bool) -> None:
            take = Take(lane, wish.slots[:1], idle_for=wish.idle_for) if self.stopping else wish
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
            if len(claimed) >= take.free:
                self._idle_for = ""
            self.claimed_nothing = not claimed
            self._begin_all(claimed, take)

        self.errands.put(Errand("claim", send, nothing))

    def _begin_all(self, claimed: list[Claimed], take: Take | None = None) -> None:
        """Claimed jobs go to the slots that were named for them; what cannot be begun goes back, or fails, at once."""
        if claimed:
            point("worker.claimed")
        self.taken += len(claimed)
        free = {slot.number: slot for slot in self._children.free()}
        room = free
        if take is not None and take.ahead:
            room = free | {slot.number: slot for slot in self._paces.ahead(function_of(take.lane))}
        frames: defaultdict[int, list[Frame]] = defaultdict(list)
        back: list[Held] = []
        try:
            for one in claimed:
                if one.held in self.held:
                    continue  # of a claim sent again, which was cut short among its jobs
                number = one.slot if one.slot in room else next(iter(free), -1)
                if self.stopping or number < 0:
                    back.append(one.held)
                elif one.call is None:
                    self._fetch(room[number], one)
                elif (frame := self._place(room[number], one, one.call)) is not None:
                    frames[number].append(frame)
        finally:
            for number, some in frames.items():
                self._begin(room[number], some)
        if back:
            self.release(back)

    def _fetch(self, slot: Slot, claimed: Claimed) -> None:
        """The call lies beside the scripts: it comes slice by slice, and this slot is kept for it."""
        held, number = claimed.held, slot.number
        self.held[held] = slot

        def arrived(call: Data | None) -> None:
            del self.held[held]
            if call is None or number >= len(self._children.slots):
                self.release([held])
                return
            at = self._children.slots[number]
            if (frame := self._place(at, claimed, call)) is not None:
                self._begin(at, [frame])

        self.transfers.fetch(held, slot, arrived, lambda error: self._undeliverable(held, error))

    def _undeliverable(self, held: Held, error: Trouble) -> None:
        self.fail(held, "undeliverable", str(error))

    def _begin(self, slot: Slot, frames: list[Frame]) -> None:
        if len(slot.jobs) == len(frames):
            slot.front_since = time.monotonic()
        slot.patience_seconds = self._paces.patience_seconds(frames[0].second)
        slot.channel.send(frames)
        point("worker.begun")

    def give_back_expected(self) -> None:
        """Calls that are not here yet go back: this worker begins nothing any more."""
        if coming := self.transfers.drop_coming():
            self.release(coming)

    def _place(self, slot: Slot, claimed: Claimed, data: Data) -> Frame | None:
        held = claimed.held
        self._paces.saw_call(held.function, big=claimed.call is None)
        try:
            call = self._envelopes.open(held.function, data)
        except WrongKey as error:
            self.fail(held, "key", str(error))
            return None
        except (BadEnvelope, Undecodable) as error:
            self.fail(held, "undecodable", str(error))
            return None
        del data  # the channel lets go of it, piece by piece
        if self.other_code.differs(held.function, call.fingerprint) and call.shared:
            # What many callers get, and for long, is not to come from code that is not theirs.
            self.fail(held, "worker_error", "other code than its caller's, and the outcome would be shared")
            return None
        index = slot.place(Placed(held, call.codec, call.digest, [] if call.chunk else None))
        self.held[held] = slot
        log.debug("job %s (%s, attempt %d) goes to slot %d", held.id, held.function, claimed.attempt, slot.number)
        kind = CHUNK if call.chunk else JOB
        return Frame(kind, wire.codec_id(call.codec), index, first=held.id, second=held.function, body=call.body)

    # --- how a job goes ------------------------------------------------------------------------------------------

    def end(self, slot: Slot, answer: Frame) -> None:
        """A child brought a job to an end; `complete` brings it to Redis. What was recalled meanwhile is not ours."""
        if answer.kind == PARTS:
            self._parts_ended(slot, answer)
            return
        placed = slot.jobs.pop(answer.job, None)
        if placed is None:
            return
        held, kind, run_seconds = placed.held, answer.second, answer.number / 1e6
        slot.jobs_done += 1
        self.done += 1
        slot.front_since = time.monotonic()
        pace = self._paces.ran(held.function, run_seconds)
        # So long a part of the rest will take at least: there is no hurry to read the first of it.
        left = len(slot.jobs) * (pace.mean_seconds or 0.0)
        slot.rests_until = slot.front_since + min(left, policy.REST_SECONDS) if left > policy.REST_SECONDS / 4 else 0.0
        log.debug("job %s (%s): %s in %.3f ms", held.id, held.function, kind, run_seconds * 1000)
        if kind == "chunk":
            self._chunk_ended(placed)
        elif kind in ("value", "error"):
            outcome = self._envelopes.seal(placed, kind, answer.body)
            run_ms = round(run_seconds * 1000)
            self._tell_end(Ended(held, kind, outcome, run_ms, answer.first[:TOLD_CHARACTERS]), outcome)
        else:
            self.fail(held, kind, answer.first)
        if self._recycle and slot.jobs_done >= self._recycle and not slot.jobs:
            self._children.replace(slot, kill=False)

    def _parts_ended(self, slot: Slot, answer: Frame) -> None:
        placed = slot.jobs.get(answer.job)
        if placed is None or placed.parts is None:
            return
        parts.take_in(slot, answer, placed)
        if placed.parts_bytes > policy.CHUNK_BYTES_MOST:
            self._hand_back(slot)
            self._children.replace(slot, kill=True)

    def _chunk_ended(self, placed: Placed) -> None:
        """Bring what has been answered; the client sends the rest again."""
        body = b"".join(placed.parts or ())
        outcome = self._envelopes.seal(placed, "chunk", body)
        told = f"chunk {placed.returned} {placed.raised}\n{placed.told[:TOLD_CHARACTERS]}"
        self._tell_end(Ended(placed.held, "value", outcome, round(placed.parts_us / 1000), told), outcome)

    def _tell_end(self, ended: Ended, outcome: Data) -> None:
        """`complete` is to bring this to Redis; what is big goes there before, and nothing else waits for it."""
        if len(outcome) <= policy.BESIDE_BYTES:
            self._ended.append(ended)
            return
        lies_beside = ended._replace(outcome=None)
        self.transfers.bring(
            ended.held,
            outcome,
            lambda: self._ended.append(lies_beside),
            lambda error: self._undeliverable(ended.held, error),
        )

    def _tell_slow(self, slot: Slot, index: int, placed: Placed) -> None:
        """The front call of a chunk is slow and goes on; clients get what is finished, and send the rest again."""
        assert placed.parts is not None
        running = placed.answered
        log.debug("job %s (%s): slow in call %d, the rest goes back", *placed.held[1::-1], running)
        placed.cut = True
        slot.channel.send([Frame(RECALL, job=index, part=running + 1)])
        finished = b"".join(placed.parts) if placed.parts_bytes < policy.BESIDE_BYTES - 1024 else b""
        body = finished + wire.encode_part(running, wire.SLOW, b"")
        outcome = self._envelopes.seal(placed, "chunk", body)
        told = Ended(placed.held, "partial", outcome, round(placed.parts_us / 1000))
        nonce = self._nonce()

        def send(again: bool) -> None:
            self._links.command.complete(self._worker, nonce, [told], again=again)

        self.errands.put(Errand("complete", send, nothing))
        if behind := slot.take_from(index + 1):
            self.release(behind)

    def _hand_back(self, slot: Slot, why: str | None = None) -> None:
        """End the chunk in front early: what is finished is kept, `why` marks the call that runs."""
        index, placed = slot.front() or (0, None)
        if placed is None or placed.parts is None:
            return
        if why is not None:
            placed.parts.append(wire.encode_part(placed.answered, why, b""))
        behind = slot.take_from(index + 1)
        del slot.jobs[index]
        self._chunk_ended(placed)
        if behind:
            self.release(behind)

    def child_died(self, slot: Slot, how: str) -> None:
        """The job in front is to blame, the others are not: they had not begun."""
        front = slot.front()
        if front is None:
            return
        index, placed = front
        if placed.parts is not None:
            parts.read_slate(slot, index, placed)
            log.warning(
                "job %s (%s): the child died in call %d of a chunk: %s", *placed.held[1::-1], placed.answered, how
            )
            self._hand_back(slot, "crashed")
            return
        behind = slot.take_from(index + 1)
        del slot.jobs[index]
        self.fail(placed.held, "crashed", f"the child died: {how}")
        if behind:
            self.release(behind)

    def recall_slow(self, now: float) -> None:
        """Nothing waits behind a job that turned out slow: what has not begun goes back, blaming nobody."""
        for slot in list(self._children.slots):
            index, placed = slot.front() or (0, None)
            if placed is None:
                continue
            if now < slot.slow_at() or slot.channel.unread():
                continue  # what it has answered is read first: we may be the slow ones
            chunk = placed.parts is not None and not placed.cut
            if chunk and parts.read_slate(slot, index, placed) and placed.parts_us < policy.CHUNK_LATE_SECONDS * 1e6:
                continue  # it was silent and not idle
            self._paces.forget(placed.held.function)
            if chunk:
                self._tell_slow(slot, index, placed)
            else:
                self._recalls.behind(slot)

    def recall_all(self) -> None:
        """What no child has begun goes back, and what is not here yet."""
        self.give_back_expected()
        self._recalls.all()

    def complete(self, take: Take | None) -> None:
        """Bring every outcome of this turn to Redis, and take next jobs in the same step as the last of them."""
        ended, self._ended = self._ended, []
        cut = batches(ended, self._links.command.batch_bytes)
        for batch in cut[:-1]:
            self._complete(batch, None)
        self._complete(cut[-1], take)

    def complete_lone(self, slot: Slot, pop: Pop | None) -> None:
        """Bring the outcome of a lone job, and be idle again; `pop`: what is to be outstanding then, if nothing is."""
        ended, self._ended = self._ended, []
        self._complete(ended, Take(ended[0].held.lane, (slot.number,), deep=0, idle_for=self._idle_for), pop)

    def _complete(self, ended: list[Ended], take: Take | None, pop: Pop | None = None) -> None:
        nonce = self._nonce()

        def send(again: bool) -> None:
            point("worker.ended")
            claimed: list[Claimed] = []
            if pop is None or again or take is None or not self._pop_behind(nonce, ended, take, pop):
                _, claimed = self._links.command.complete(self._worker, nonce, ended, take, again=again)
            point("worker.completed")
            for one in ended:
                self.held.pop(one.held, None)
                self.refusals.served(one.held.function)
            if take is not None:
                full = len(claimed) >= take.free
                self._idle_for = "" if full else self._idle_for if claimed else take.lane
            self._begin_all(claimed, take)
            if free := len(self._children.free()):
                self._recalls.level(free)

        def give_up(error: Trouble) -> None:
            if len(ended) > 1:  # one of them may be to blame
                for one in ended:
                    self._complete([one], None)
                return
            for one in ended:
                self._undeliverable(one.held, error)

        self.errands.put(Errand("complete", send, give_up))

    def _pop_behind(self, nonce: str, ended: list[Ended], take: Take, pop: Pop) -> bool:
        """Complete and pop in one write; False: to be said (again), for Redis may not have had the script."""
        if self._links.popping is not None or not self._links.pop.connected:
            return False
        try:
            self._links.complete_and_pop(self._worker, nonce, ended, take, pop)
        except RedisRefused:
            return False
        return True

    def fail(self, held: Held, why: str, error: str) -> None:
        """The cluster, not the function, ends this attempt."""
        refused = policy.is_refusal(why, error)
        if refused:
            self.refusals.refused(held, why, error)
        else:
            log.warning("job %s (%s): %s: %s", held.id, held.function, why, error)

        def send(_: bool) -> None:
            words = self._links.command.fail(self._worker, [Failed(held, why, error[:ERROR_CHARACTERS], refused)])
            self.held.pop(held, None)
            if refused and words == ["requeued"]:
                self.refusals.pass_over(held.lane)

        self.errands.put(Errand("fail", send, lambda _: self._hold_no_more([held])))

    def release(self, helds: list[Held]) -> None:
        """Give jobs back, blaming nobody."""

        def send(_: bool) -> None:
            self._links.command.release(self._worker, helds)
            self._hold_no_more(helds)

        self.errands.put(Errand("release", send, lambda _: self._hold_no_more(helds)))

    def _hold_no_more(self, helds: Iterable[Held]) -> None:
        for held in helds:
            self.held.pop(held, None)

    def call_off(self, held: Held, reason: str) -> None:
        """Stop a job at once: if it runs, its child is killed and the slot gets a fresh one; others are not harmed."""
        slot = self.held.get(held)
        if slot is not None and self.transfers.drop(held):
            del self.held[held]
            return
        index = next((i for i, placed in slot.jobs.items() if placed.held == held), None) if slot is not None else None
        if slot is None or index is None:
            return
        log.info("job %s (%s) is stopped: %s", held.id, held.function, reason)
        front = index == next(iter(slot.jobs))
        del self.held[held], slot.jobs[index]
        if not front:
            self._recalls.since(slot, index)
            return
        behind = slot.take_from(index)
        self._children.replace(slot, kill=True)
        if behind:
            self.release(behind)

    def control(self, word: str) -> None:
        """A word from the control list: `cancel <job id>:<fence>`."""
        verb, _, name = word.partition(" ")
        for held in list(self.held):
            if verb == "cancel" and name == f"{held.id}:{held.fence}":
                self.call_off(held, "cancelled")
