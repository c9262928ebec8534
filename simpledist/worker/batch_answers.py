"""Answers of a child to the calls of a batch: rows of calls, or what its result buffer holds.

Adds up what the calls came to; decides nothing about them. A slot has one of these for each batch that its child was
given (slot.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simpledist import wire
from simpledist.errors import Undecodable
from simpledist.worker.frames import Answer


@dataclass(slots=True)
class Batch:
    """The calls that have ended so far. `cut`: one call is slow, and those behind it have gone back."""

    parts: list[bytes] = field(default_factory=list[bytes])  # in rows
    answered: int = 0
    run_us: int = 0
    returned: int = 0
    raised: int = 0
    error_text: str = ""  # of the first call that raised
    size: int = 0  # of `parts`, in bytes
    cut: bool = False

    def take_in(self, row: Answer) -> None:
        """Add the calls that a child has sent."""
        body = bytes(row.body)
        if row.part == self.answered:
            self._add(wire.Row(body, row.calls, row.returned, row.raised, row.run_us))
        else:  # some of it was read from the buffer
            self._add(wire.row_from(body, self.answered))
        self.error_text = self.error_text or row.error_text

    def take_from_buffer(self, written: bytes) -> bool:
        """Add the calls that the child has finished and not sent; return whether there were any."""
        try:
            row = wire.row_from(written, self.answered)
        except Undecodable:
            return False  # it is being written
        if row.count:
            self._add(row)
        return bool(row.count)

    def end_call(self, why: str) -> None:
        """Note that the call that runs has ended without an outcome."""
        self.parts.append(wire.encode_part(self.answered, why, b""))

    def _add(self, row: wire.Row) -> None:
        self.parts.append(row.body)
        self.answered += row.count
        self.size += len(row.body)
        self.run_us += row.run_us
        self.returned += row.returned
        self.raised += row.raised
