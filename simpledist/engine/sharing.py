"""Calls that are the same call: how a function shares outcomes, and what makes a call's content address.

What Redis joins and keeps is decided in its scripts (submit.lua); which futures here wait for one job, in flight.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from simpledist import policy
from simpledist.config import arguments


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a function asks for."""

    join: bool
    cache_seconds: float
    make_address: Callable[..., bytes]

    def address(
        self, function: str, codec: str, code: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bytes | None:
        """Return the call's content address; None where it is not known which code its function is.

        Raises Unkeyable where an argument has no canonical form.
        """
        return self.make_address(function, codec, code, args, kwargs) if code else None


def sharing(name: str, *, join: bool, cache: float | None) -> Sharing | None:
    """Return what `worker_function(join=, cache=)` mean; None for neither. Raises ConfigurationError."""
    cache = arguments.seconds(f"worker_function({name!r})", "cache", cache, most=policy.CACHED_SECONDS)
    if not join and cache is None:
        return None
    # Loaded only here: most programs share nothing.
    address = import_module("simpledist.code.canonical").address
    return Sharing(join, cache or 0.0, address)
