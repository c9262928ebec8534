"""Repairs: a script of ours has met in Redis what no script of ours wrote, and could not go on.

Anyone who can write to Redis may put it there. It is no refusal by Redis: the verb `repair` removes it, and the verb
that failed is sent once more. Knows errors and arguments of verbs, no connection. Used by broker.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from simpledist import policy
from simpledist.errors import RedisRefused
from simpledist.printable import logger

log = logger("simpledist")

NAMES_MOST = 1000
TOLD_MOST = 30  # keys a minute that the log names

# Redis' words for a value of another type or for a field that is no number, and Lua's own at a line of a script.
_BY_CONTENT = re.compile(
    r"\bWRONGTYPE\b|is not an integer|is not a valid float|would overflow|would produce NaN"
    r"|user_script:.*(?:attempt to|bad argument|table index)"
)
_NAME = re.compile(r"[\w.@+~!-]{1,200}")
_ELEMENT = re.compile(rb"\d+\.([\w-]{1,64})")  # of a queue
_WORDS = re.compile(r"[ :]")


def by_content(error: str) -> bool:
    """Return whether a script failed at what it found in Redis."""
    return _BY_CONTENT.search(error) is not None


def names_in(arguments: Sequence[object]) -> list[str]:
    """Return what may be names of keys in the arguments of a verb: functions, lanes, workers, clients, jobs."""
    names: dict[str, None] = {}
    for one in arguments:
        if isinstance(one, bytes) and (element := _ELEMENT.fullmatch(one)):
            names[element[1].decode()] = None
        elif isinstance(one, str) and len(one) < 1000:
            names.update((word, None) for word in _WORDS.split(one) if _NAME.fullmatch(word) and not word.isdigit())
        if len(names) >= NAMES_MOST:
            break
    return list(names)[:NAMES_MOST]


class Repairs:
    """What one broker has said of repairs."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}  # key -> when; of the last minute

    def tell(self, repaired: Iterable[tuple[str, str]], error: RedisRefused) -> None:
        """Say what was removed, each key once a minute and a few keys a minute at most.

        Raises RedisRefused for what stays, with the names of the keys.
        """
        repaired = list(repaired)
        staying = [key for key, what in repaired if what == "stays"]
        if staying:
            raise RedisRefused(f"WRONGTYPE at {' '.join(staying)}: {error}") from error
        now = time.monotonic()
        self._told = {key: at for key, at in self._told.items() if now - at < policy.RETELL_SECONDS}
        if any(key not in self._told for key, _ in repaired) and len(self._told) < TOLD_MOST:
            self._told.update((key, now) for key, _ in repaired[:10])
            gone = ", ".join(key if what == "all" else f"{what} of {key}" for key, what in repaired[:10])
            log.warning(
                "removed what no verb wrote and none can read: %s%s; another program writes to this Redis under our "
                "namespace (it made Redis say: %s)",
                gone,
                f" and {len(repaired) - 10} more" if len(repaired) > 10 else "",
                error,
            )
