"""What the parent's loop sleeps on: descriptors that become readable or writable, until the next thing is due."""

from __future__ import annotations

import math
import select
import time
from typing import Any


class Readiness:
    """One poll object, made again only when what it watches has changed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, int] = {}

    def wait(self, readers: dict[int, Any], writers: set[int], due: float) -> set[Any]:
        """Sleep until one of `readers` (descriptor -> source) is ready, or `due`; return the sources that are.

        `writers`: the descriptors that are watched for room, too.
        """
        events = {fileno: _BOTH if fileno in writers else _IN for fileno in readers}
        if events != self._watched:
            # A poll object has no descriptor of its own to be kept in step.
            self._poll, self._watched = select.poll(), events
            for fileno, mask in events.items():
                self._poll.register(fileno, mask)
        seconds = max(due - time.monotonic(), 0.0)
        found = self._poll.poll(math.ceil(seconds * 1000) if seconds < _FOR_EVER_SECONDS else None)
        return {readers[fileno] for fileno, _ in found}


_IN, _BOTH = select.POLLIN, select.POLLIN | select.POLLOUT
_FOR_EVER_SECONDS = 1e6
