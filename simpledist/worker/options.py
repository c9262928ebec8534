"""The options with which a worker was started, checked by its command line. Knows nothing of what they do."""

from __future__ import annotations

from dataclasses import dataclass, field

from simpledist.worker.life import Bounds


@dataclass(frozen=True, slots=True)
class Options:
    """`label`: for people. `recycle`: jobs after which a child is replaced. `tags`: what calls may need of a worker."""

    slots: int
    label: str
    grace_seconds: float = 25.0
    recycle: int | None = None
    bounds: Bounds = field(default_factory=Bounds)
    tags: tuple[str, ...] = ()
