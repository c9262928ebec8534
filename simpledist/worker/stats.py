"""Statistics of this worker, for people: slots at work, memory, jobs done. Sent with each heartbeat; decide nothing."""

from __future__ import annotations

import os

from simpledist.broker.worker_stats import WorkerStats
from simpledist.worker.children import Children
from simpledist.worker.memory import resident_bytes
from simpledist.worker.outcomes import Outcomes


def stats(children: Children, outcomes: Outcomes) -> WorkerStats:
    """Return what there is to say now."""
    slots = children.slots
    return WorkerStats(
        at_work=sum(bool(slot.jobs) for slot in slots),
        memory_bytes=resident_bytes([os.getpid(), *(slot.pid for slot in slots if slot.pid is not None)]),
        jobs_done=outcomes.done,
        peak_bytes=children.peak_bytes or None,
    )
