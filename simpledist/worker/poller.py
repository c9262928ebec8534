"""Sleep of the parent's loop: on descriptors that become readable or writable, until the next thing is due."""

from __future__ import annotations

import math
import select
import time

READ, READ_AND_WRITE = select.POLLIN, select.POLLIN | select.POLLOUT
_FOR_EVER_SECONDS = 1e6


class Poller:
    """One poll object, made again only when what it watches has changed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, int] = {}

    def wait(self, watched: dict[int, int], due: float) -> dict[int, int]:
        """Sleep until a descriptor of `watched` (descriptor -> READ or READ_AND_WRITE) is ready, or `due`.

        Returns those that are ready.
        """
        if watched != self._watched:
            # A poll object has no descriptor of its own to be kept in step.
            self._poll, self._watched = select.poll(), watched
            for fileno, mask in watched.items():
                self._poll.register(fileno, mask)
        seconds = due - time.monotonic()
        if seconds <= 0:
            return dict(self._poll.poll(0))
        return dict(self._poll.poll(math.ceil(seconds * 1000) if seconds < _FOR_EVER_SECONDS else None))
