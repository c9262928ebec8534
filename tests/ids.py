"""Names of test cases that are the same in every run: what a value looks like, without its address in memory."""

from __future__ import annotations

import re


def steady(value: object) -> str:
    """Return a value's `repr` without addresses, for `ids=` of a parametrised test."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
