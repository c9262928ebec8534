"""Checks of the options that a program sets: where they are written, so that no call raises for them later.

Pure. Each function returns the value as it is used, or raises ConfigurationError with one line that says what to write
instead. Called by the public functions of the client.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from numbers import Real
from typing import cast

from simpledist import policy
from simpledist.errors import ConfigurationError
from simpledist.job import MOST_NEEDS, TAG, TAG_RULE

MOST_COUNT = 2**53  # up to here Redis and its scripts count exactly


def seconds(
    who: str, option: str, value: object, *, most: float = policy.LONGEST_SECONDS, none: bool = True
) -> float | None:
    """Return a duration above 0 and up to `most` seconds, or None where that may mean "no limit"."""
    if value is None and none:
        return None
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else _float(value)
    if not 0 < number <= most:
        or_none = "" if not none else ", or None for no limit" if option == "timeout" else ", or None"
        raise ConfigurationError(
            f"{who}: {option}={_shown(value)} seconds: use a positive number up to {most:.0f}{or_none}"
        )
    return number


def count(who: str, option: str, value: object, *, least: int, none: bool = True) -> int | None:
    """Return a whole number of at least `least`, or None where that may mean "no limit"."""
    if value is None and none:
        return None
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if not least <= number <= MOST_COUNT:
        or_none = ", or None" if none else ""
        raise ConfigurationError(
            f"{who}: {option}={_shown(value)}: use a whole number from {least} to {MOST_COUNT}{or_none}"
        )
    return number


def flag(who: str, option: str, value: object) -> bool:
    """Return True or False; a text like "no" would count as True."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{who}: {option}={_shown(value)}: use True or False")
    return value


def text(who: str, option: str, value: object) -> str | None:
    """Return a text or None."""
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{who}: {option}={_shown(value)}: use a text, or None")
    return value


def tags(who: str, option: str, value: object) -> tuple[str, ...]:
    """Return tags, given as one text or as several, in order and each once; None: none."""
    found: list[object] = [] if value is None else [value] if isinstance(value, str) else _listed(value)
    if len(found) > MOST_NEEDS or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in found):
        raise ConfigurationError(
            f"{who}: {option}={_shown(value)}: use a tag, or a list of at most {MOST_NEEDS}; in a tag {TAG_RULE}"
        )
    return tuple(sorted({str(tag) for tag in found}))


def file(who: str, option: str, value: object) -> str | None:
    """Return the name of a file, given as a text or a path, or None."""
    if value is None:
        return None
    try:
        return os.fsdecode(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigurationError(f"{who}: {option}={_shown(value)}: use the name of a file, or None") from None


def _listed(value: object) -> list[object]:
    """Return what stands in a list, tuple or set; of anything else something that is no tag."""
    return list(cast("Iterable[object]", value)) if isinstance(value, (list, tuple, set, frozenset)) else [None]


def _float(value: Real) -> float:
    """Return a number as a float, infinity for one that is too large for that."""
    try:
        return float(value)
    except (OverflowError, ValueError):
        return math.inf


def _shown(value: object) -> str:
    """Return a value as it was written, cut; what cannot be shown is named by its type."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a number of 5,000 digits raises, and so may any class
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:59] + "…"
