"""Wait for what can be read, by poll: select knows no descriptor above 1,023, and a server may have that many open.

Where there is no poll (eventlet takes it away, so that nothing blocks its loop), by select.
"""

from __future__ import annotations

import math
import select


def readable(descriptors: list[int], seconds: float) -> set[int]:
    """Those that have something to read, or have ended, after at most `seconds`."""
    if not hasattr(select, "poll"):  # asked each time: a program is patched when it is loaded, or later
        return set(select.select(descriptors, [], [], None if math.isinf(seconds) else max(seconds, 0.0))[0])
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    milliseconds = None if math.isinf(seconds) else math.ceil(max(seconds, 0.0) * 1000)
    return {descriptor for descriptor, _ in poll.poll(milliseconds)}
