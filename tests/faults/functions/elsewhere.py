"""A function that no worker offers: it travels with its calls, and its module with it."""

from __future__ import annotations

from tests.faults.functions import work


def value(n: int) -> str:
    work.note("begins", n)
    return work.value_of(n)
