"""What a child has answered of a chunk: it comes in rows, or is read from its slate. Used by jobs.py."""

from __future__ import annotations

import time

from simpledist import wire
from simpledist.errors import Undecodable
from simpledist.worker.channel import Frame
from simpledist.worker.children import Placed, Slot


def take_in(slot: Slot, answer: Frame, placed: Placed) -> None:
    """Add the calls that a child has brought to an end."""
    body = bytes(answer.body)
    if answer.part == placed.answered:
        count, returned, raised = (int(number) for number in answer.second.split())
        _add(slot, placed, wire.Row(body, count, returned, raised, answer.number))
    else:  # some of it was read from the slate
        _add(slot, placed, wire.row_from(body, placed.answered))
    placed.told = placed.told or answer.first


def read_slate(slot: Slot, index: int, placed: Placed) -> bool:
    """Take in what the child has finished and not sent; whether there was anything."""
    try:
        row = wire.row_from(slot.slate.read(index), placed.answered)
    except Undecodable:
        return False  # it is being written
    if row.count:
        _add(slot, placed, row)
    return bool(row.count)


def _add(slot: Slot, placed: Placed, row: wire.Row) -> None:
    assert placed.parts is not None
    placed.parts.append(row.body)
    placed.answered += row.count
    placed.parts_bytes += len(row.body)
    placed.parts_us += row.run_us
    placed.returned += row.returned
    placed.raised += row.raised
    slot.front_since = time.monotonic()
