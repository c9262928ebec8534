"""What a type checker must know of a user's program: every line that is marked is an error, all others are none.

Checked by pyright and mypy (test_typing.py), both asked to complain of a mark without an error. Never run.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import sys
from collections.abc import Callable

import simpledist

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type

dist = simpledist.connect()


def power(base: float, exponent: int = 2) -> float:
    """The local function."""
    return base**exponent


remote_power = simpledist.worker_function(dist, "power", power, version=3, timeout=10.0)

assert_type(remote_power(2.0, exponent=3), float)
assert_type(remote_power.submit(2.0), simpledist.Future[float])
assert_type(remote_power.submit(2.0).result(), float)
assert_type(list(remote_power.map([1.0, 2.0])), list[float])
assert_type(remote_power.submit(2.0).info, simpledist.Info | None)
assert_type(remote_power.local(2.0), float)

remote_power("two")  # type: ignore[arg-type]
remote_power(2.0, 3, 4)  # type: ignore[call-arg]
remote_power(2.0, exponents=3)  # type: ignore[call-arg]
remote_power.submit(2.0, exponent="3")  # type: ignore[arg-type]
simpledist.worker_function(dist, "power", "power")  # type: ignore[arg-type]
as_text: str = remote_power(2.0)  # type: ignore[assignment]


@simpledist.function(dist)
def shout(text: str, *, times: int = 1) -> list[str]:
    """A decorated function keeps its types."""
    return [text.upper()] * times


@simpledist.function(dist, "length", version="2024.1", timeout=5, max_queue=100, codec="json")
def measured(text: str) -> int:
    """With a name and options of its own."""
    return len(text)


assert_type(shout("a", times=2), list[str])
assert_type(shout.submit("a"), simpledist.Future[list[str]])
assert_type(measured("a"), int)
shout(b"a")  # type: ignore[arg-type]
measured("a", "b")  # type: ignore[call-arg]

as_before: Callable[[str], int] = measured


async def awaited() -> float:
    """A future can be awaited."""
    assert_type(await remote_power.submit(2.0), float)
    return await remote_power.submit(2.0)
