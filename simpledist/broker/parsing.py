"""Reads what Redis answers, element by element, into the records of the verbs. Calls and outcomes stay bytes."""

from __future__ import annotations

from collections.abc import Sequence

from simpledist.broker.records import Claimed, Held, Reply


def parse_given(element: bytes) -> Claimed:
    """Read one element of a worker's list of given jobs."""
    header, _, call = element.partition(b"\n")
    lane, id, fence, slot = header.decode().split(" ")
    return Claimed(Held(lane, id, fence), slot=int(slot), attempt=1, queued_ms=0, call=call or None)


def parse_reply(element: bytes) -> Reply:
    """Read one element of a reply list, or what a nudge says of an ended job."""
    header, _, result = element.partition(b"\n")
    id, state, why, worker, attempts, queued_ms, run_ms, place = header.decode().split(" ")
    return Reply(
        id=id,
        state=state,
        why=None if why == "-" else why,
        worker=None if worker == "-" else worker,
        attempts=int(attempts),
        queued_ms=int(queued_ms),
        run_ms=int(run_ms),
        place=place,
        result=result if place in ("inline", "cached") else None,
    )


def parse_texts(values: Sequence[bytes]) -> list[str]:
    """Read words."""
    return [value.decode() for value in values]


def parse_held(fields: Sequence[bytes]) -> list[Held]:
    """Read jobs in a worker's hands, as `Held.field` writes them."""
    return [Held(*field.decode().rsplit(":", 2)) for field in fields]


def parse_claimed(flat: Sequence[bytes]) -> list[Claimed]:
    """Read what `claim` and `complete` hand out: seven values a job."""
    jobs: list[Claimed] = []
    for i in range(0, len(flat), 7):
        lane, id, fence, slot, attempt, queued_ms = parse_texts(flat[i : i + 6])
        jobs.append(
            Claimed(
                held=Held(lane, id, fence),
                slot=int(slot) if slot.isdigit() else 0,
                attempt=int(attempt),
                queued_ms=int(queued_ms),
                call=flat[i + 6] or None,
            )
        )
    return jobs
