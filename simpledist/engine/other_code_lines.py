"""The lines that tell a caller of workers with other code. Pure: lanes.py says when, notices.py logs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simpledist.broker.records import NO_DIGEST
from simpledist.code.outline import first_difference, parts_of
from simpledist.engine.own_code import OwnCode


@dataclass(frozen=True, slots=True)
class WorkerCode:
    """What Redis knows of a worker: its row, and the parts of its code (code/outline.py)."""

    id: str
    row: Mapping[str, Any] = field(default_factory=dict[str, Any])
    code: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """Return the worker as people find it."""
        if not self.row:
            return f"worker {self.id}"
        label, host, pid = (self.row.get(name, "?") for name in ("label", "host", "pid"))
        return f"worker {self.id} ({label} on {host}, pid {pid})"


def stale(code: OwnCode, worker: WorkerCode) -> str:
    """Return the line for calls that run here, because only workers with other code of their function are there."""
    return (
        f"function {code.key.function}: {_difference(code, worker)} on {worker.name}, which is passed over: calls run "
        "here until a worker has this program's code; restart the one that is stale"
    )


def named(code: OwnCode, place: str, worker: WorkerCode) -> str:
    """Return the line for calls that code of another place serves, because it has their function's name."""
    function, ours = code.key.function, _place(code)
    if code.found is not None and place == code.found.short_place:
        return (
            f"function {function}: {_difference(code, worker)} on {worker.name}, which serves it all the same, for "
            "both have this version; give changed code another one"
        )
    theirs = "another function" if place == NO_DIGEST else place
    return (
        f"function {function}: here it is {ours}, on {worker.name} it is {theirs}, which serves it by its name; "
        'match="code" refuses that, match="name" accepts it without this line'
    )


def _place(code: OwnCode) -> str:
    return ".".join(code.found.place) if code.found is not None else "?"


def _difference(code: OwnCode, worker: WorkerCode) -> str:
    if code.found is None or not worker.code:
        return f"{_place(code)} is other code"
    difference = first_difference(parts_of(code.found), worker.code)
    return difference or f"{_place(code)} is other code (what is bound to it differs, or a part that is not listed)"
