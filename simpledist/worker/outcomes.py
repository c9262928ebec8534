"""Outcomes of jobs in the children: values, exceptions, crashes, and jobs that turn out slow.

Seals each outcome (envelopes.py) and adds it to those that outcome_delivery.py brings; what has no outcome fails or
goes back (release.py). Bodies are opaque. Used by the loop's one thread, with what it reads from children.
"""

from __future__ import annotations

import time

from simpledist import policy, wire
from simpledist.broker.records import Ended
from simpledist.printable import logger
from simpledist.worker.batch_answers import Batch
from simpledist.worker.batching import Batching
from simpledist.worker.children import Children
from simpledist.worker.envelopes import Envelopes
from simpledist.worker.frames import ROW, Answer
from simpledist.worker.life import Life
from simpledist.worker.outcome_delivery import OutcomeDelivery
from simpledist.worker.release import Release
from simpledist.worker.slot import Placed, Slot

log = logger("simpledist.worker")

ERROR_CHARACTERS = 3000  # of an error with its traceback


class Outcomes:
    """`done` counts the jobs that a child has brought to an end."""

    def __init__(
        self,
        *,
        children: Children,
        envelopes: Envelopes,
        batching: Batching,
        delivery: OutcomeDelivery,
        release: Release,
        life: Life,
        recycle: int | None,
    ) -> None:
        self.done = 0
        self._children = children
        self._envelopes = envelopes
        self._batching = batching
        self._delivery = delivery
        self._release = release
        self._life = life
        self._recycle = recycle

    def answered(self, slot: Slot, answer: Answer) -> None:
        """Take in what a child says of its jobs. What was taken back from it meanwhile is not ours."""
        if answer.kind == ROW:
            self._row_ended(slot, answer)
            return
        now = time.monotonic()
        placed = slot.ended(answer.job, now)
        if placed is None:
            return
        held, outcome, run_seconds = placed.held, answer.outcome, answer.run_us / 1e6
        function = held.function
        self.done += 1
        self._life.took(function, run_seconds)
        # So long the rest will take at least: there is no hurry to read the first answer of it.
        slot.rest(self._batching.ran(function, run_seconds).mean_seconds or 0.0)
        log.debug("job %s (%s): %s in %.3f ms", held.id, function, outcome, run_seconds * 1000)
        if outcome == "batch" and placed.batch is not None:
            self._batch_ended(placed, placed.batch)
        elif outcome in ("value", "error"):
            sealed = self._envelopes.seal(placed, outcome, answer.body)
            ended = Ended(held, outcome, sealed, round(run_seconds * 1000), answer.error_text[:ERROR_CHARACTERS])
            self._delivery.add(ended, sealed)
        else:
            self._release.fail(held, outcome, answer.error_text)
        if self._recycle and slot.jobs_done >= self._recycle and not slot.jobs:
            self._children.replace(slot, kill=False)

    # --- batches --------------------------------------------------------------------------------------------------

    def _row_ended(self, slot: Slot, row: Answer) -> None:
        placed = slot.jobs.get(row.job)
        if placed is None or placed.batch is None:
            return
        placed.batch.take_in(row)
        slot.progressed(time.monotonic())
        if placed.batch.size > policy.BATCH_OUTCOME_BYTES:
            self._end_front_batch(slot)
            self._children.replace(slot, kill=True)

    def _batch_ended(self, placed: Placed, batch: Batch) -> None:
        """Bring the calls that have ended; the client sends the rest again."""
        outcome = self._envelopes.seal(placed, "batch", b"".join(batch.parts))
        error_text = f"batch {batch.returned} {batch.raised}\n{batch.error_text[:ERROR_CHARACTERS]}"
        self._delivery.add(Ended(placed.held, "value", outcome, round(batch.run_us / 1000), error_text), outcome)

    def _end_front_batch(self, slot: Slot, why: str | None = None) -> None:
        """End the batch in front early: what is finished is kept, `why` marks the call that runs."""
        index, placed = slot.front() or (0, None)
        if placed is None or placed.batch is None:
            return
        if why is not None:
            placed.batch.end_call(why)
        behind = slot.take_from(index + 1)
        del slot.jobs[index]
        self._batch_ended(placed, placed.batch)
        self._release.release(behind)

    # --- jobs that are slow --------------------------------------------------------------------------------------

    def look_for_slow(self, now: float) -> None:
        """Release what waits behind a job that turned out slow: it has not begun, and is not blamed."""
        for slot in self._children.slots[:]:
            if not slot.jobs or now < slot.slow_at() or slot.channel.unread():
                continue  # what it has answered is read first: we may be the slow ones
            index, placed = slot.front() or (0, None)
            if placed is None:
                continue
            batch = placed.batch if placed.batch is not None and not placed.batch.cut else None
            news = batch is not None and self._read_buffer(slot, index, batch)
            if batch is not None and news and batch.run_us < policy.BATCH_LATE_SECONDS * 1e6:
                continue  # it was silent and not idle
            self._batching.forget(placed.held.function)
            if batch is not None:
                self._cut(slot, index, placed, batch)
            else:
                self._release.behind(slot)

    def _read_buffer(self, slot: Slot, index: int, batch: Batch) -> bool:
        """Take in the calls that a child has finished and not sent; return whether there were any."""
        found = batch.take_from_buffer(slot.buffer.read(index))
        if found:
            slot.progressed(time.monotonic())
        return found

    def _cut(self, slot: Slot, index: int, placed: Placed, batch: Batch) -> None:
        """Let the slow call of a batch go on; clients get what is finished, and send the rest again."""
        running = batch.answered
        log.debug("job %s (%s): slow in call %d, the rest goes back", *placed.held[1::-1], running)
        batch.cut = True
        slot.recall(index, part=running + 1)
        finished = b"".join(batch.parts) if batch.size < policy.BESIDE_BYTES - 1024 else b""
        outcome = self._envelopes.seal(placed, "batch", finished + wire.encode_part(running, wire.SLOW, b""))
        self._delivery.bring_partial(placed.held, outcome, round(batch.run_us / 1000))
        self._release.release(slot.take_from(index + 1))

    # --- jobs that are ended -------------------------------------------------------------------------------------

    def timed_out(self, slot: Slot, now: float) -> None:
        """End a job that has run for as long as its caller allows: its child is killed and replaced."""
        index, placed = slot.front() or (0, None)
        if placed is None:
            return
        held, seconds = placed.held, placed.hard_seconds
        log.warning("job %s (%s): timed out: it ran for hard_timeout=%g s", held.id, held.function, seconds)
        behind = slot.take_from(index + 1)
        del slot.jobs[index]
        self._children.replace(slot, kill=True)
        self.done += 1
        sealed = self._envelopes.seal(placed, "timed_out", b"")
        reason = f"JobTimeout: timed out after {seconds:g} s (hard_timeout)"
        self._delivery.add(Ended(held, "error", sealed, round((now - slot.front_since) * 1000), reason), sealed)
        self._release.release(behind)

    def over_memory(self, slot: Slot, used_bytes: int, limit_bytes: int) -> None:
        """Kill and replace a child that holds too much; the job in front is to blame, and tried on another worker."""
        reason = f"it used {used_bytes / 2**20:,.0f} MB, --memory allows {limit_bytes / 2**20:,.0f} MB"
        if slot.jobs:
            self._end_front(slot, "memory", reason)
        else:
            log.info("an idle child is replaced: %s", reason)
        self._children.replace(slot, kill=True)

    # --- children that die ---------------------------------------------------------------------------------------

    def child_died(self, slot: Slot, how: str) -> None:
        """Blame the job in front; the others had not begun."""
        self._end_front(slot, "crashed", f"the child died: {how}")

    def _end_front(self, slot: Slot, why: str, reason: str) -> None:
        front = slot.front()
        if front is None:
            return
        index, placed = front
        if placed.batch is not None:
            self._read_buffer(slot, index, placed.batch)
            call = placed.batch.answered
            log.warning("job %s (%s): in call %d of a batch: %s", *placed.held[1::-1], call, reason)
            self._end_front_batch(slot, why)
            return
        behind = slot.take_from(index + 1)
        del slot.jobs[index]
        self._release.fail(placed.held, why, reason)
        self._release.release(behind)
