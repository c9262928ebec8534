"""A connection of a test's own to Redis."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from simpledist.broker import Link


@contextmanager
def open_link(url: str) -> Generator[Link]:
    """Connected for as long as the block lasts."""
    link = Link(url, name="tests")
    link.connect()
    try:
        yield link
    finally:
        link.close()
