"""A pure function, each value of which a caller can check."""

from __future__ import annotations


def cube(n: int) -> int:
    """A value that no other argument has."""
    return n**3
