"""Wait for what can be read, by poll: select knows no descriptor above 1,023, and a server may have that many open."""

from __future__ import annotations

import math
import select


def readable(descriptors: list[int], seconds: float) -> set[int]:
    """Those that have something to read, or have ended, after at most `seconds`."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(math.ceil(max(seconds, 0.0) * 1000))}
