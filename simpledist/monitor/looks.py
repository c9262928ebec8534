"""Which colour and pattern a function has wherever it is shown, so that no two functions look the same.

A look is one of 32: eight colours that colour-blind people can tell apart, each in four patterns. The first eight
functions have eight colours; the next ones repeat a colour in another pattern. A function keeps its look while the
process runs, and the same functions get the same looks after a restart: each takes the place that its name points to,
or the next free one. Called by pages and by `top`, from any thread. Knows no colour by name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2s

COLOURS = 8
PATTERNS = 4
LOOKS = COLOURS * PATTERNS


@dataclass(frozen=True, slots=True)
class Look:
    """`colour` counts to COLOURS, `pattern` to PATTERNS."""

    colour: int
    pattern: int


class Looks:
    """The looks of the functions that were seen so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the dict below
        self._places: dict[str, int] = {}

    def see(self, functions: Iterable[str]) -> None:
        """Give a look to each function that has none yet."""
        with self._lock:
            new = sorted({*functions} - self._places.keys(), key=_point)
            taken = set(self._places.values())
            for name in new:
                place = _free(_point(name), taken)
                taken.add(place)
                self._places[name] = place

    def of(self, function: str) -> Look | None:
        """Return the look of a function; None for one that was not seen."""
        place = self._places.get(function)
        # Neighbours in the first eight differ in their pattern too, and no pair of colour and pattern comes twice.
        return None if place is None else Look(place % COLOURS, (place + place // COLOURS) % PATTERNS)


def _point(name: str) -> int:
    return int.from_bytes(blake2s(name.encode("utf-8", "replace"), digest_size=4).digest(), "big")


def _free(point: int, taken: set[int]) -> int:
    """Return the first free place among the first eight, then the next eight; where all are taken, the wanted one."""
    for first in range(0, LOOKS, COLOURS):
        for step in range(COLOURS):
            place = first + (point + step) % COLOURS
            if place not in taken:
                return place
    return point % LOOKS
