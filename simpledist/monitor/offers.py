"""Offers of one function by its workers, as people see them. Skips what no worker writes; reads nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from simpledist.monitor.rows import object_of, pairs, printable

OFFERS_MOST = 1000


@dataclass(frozen=True, slots=True)
class Offer:
    """One worker's offer of a function: the lane from which it takes jobs, its code, and what it says of itself."""

    worker: str
    lane: str
    digest: str
    python: str
    tags: tuple[str, ...]


def offers(page: Sequence[Any] | None) -> tuple[Offer, ...]:
    """Return the offers in a page of HSCAN."""
    found = (_offer(worker, text) for worker, text in pairs(page[1] if page else ()))
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.worker))


def _offer(worker: str, text: str) -> Offer | None:
    fields = object_of(text)
    if fields is None:
        return None
    tags: Any = fields.get("tags")
    return Offer(
        worker=printable(worker),
        lane=printable(fields.get("lane")),
        digest=printable(fields.get("digest")),
        python=printable(fields.get("python")),
        tags=tuple(printable(tag) for tag in cast("list[Any]", tags)[:100]) if isinstance(tags, list) else (),
    )
