"""The options with which a worker was started, checked by its command line. Knows nothing of what they do."""

from __future__ import annotations

from dataclasses import dataclass, field

from simpledist.worker.gpus import Variables
from simpledist.worker.launch import Preparation
from simpledist.worker.life import Bounds


@dataclass(frozen=True, slots=True)
class Options:
    """`label`: for people. `recycle`: jobs after which a child is replaced. `tags`: what calls may need of a worker.

    `memory_bytes`: that the processes of one slot may hold. `gpus`: by the slot, what shows its child one of them.
    """

    slots: int
    label: str
    grace_seconds: float = 25.0
    recycle: int | None = None
    bounds: Bounds = field(default_factory=Bounds)
    tags: tuple[str, ...] = ()
    memory_bytes: int | None = None
    gpus: tuple[Variables, ...] = ()
    preparation: Preparation = field(default_factory=Preparation)
