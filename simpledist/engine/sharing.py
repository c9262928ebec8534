"""Calls that are the same call: how a function shares outcomes, and what makes a call's content address.

What Redis joins and keeps is decided in its scripts (submit.lua); which futures here wait for one job, in flight.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from simpledist import policy
from simpledist.code import fingerprint
from simpledist.config import arguments
from simpledist.errors import Unkeyable

log = logging.getLogger("simpledist")

_unkeyed: set[str] = set()  # functions of which it was said


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a function asks for; `code` is the fingerprint of its local code."""

    join: bool
    cache_seconds: float
    code: str
    make_address: Callable[..., bytes]

    def address(self, function: str, codec: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
        """Return the call's content address; None, logged once a function, where an argument has no canonical form."""
        try:
            return self.make_address(function, codec, self.code, args, kwargs)
        except Unkeyable as error:
            if function not in _unkeyed:
                _unkeyed.add(function)
                log.warning("function %s: calls like this one are neither joined nor cached: %s", function, error)
            return None


def sharing(name: str, local: Callable[..., Any], *, join: bool, cache: float | None) -> Sharing | None:
    """Return what `worker_function(join=, cache=)` mean; None for neither. Raises ConfigurationError."""
    cache = arguments.seconds(f"worker_function({name!r})", "cache", cache, most=policy.CACHED_SECONDS)
    if not join and cache is None:
        return None
    # Loaded only here: most programs share nothing.
    address = import_module("simpledist.code.canonical").address
    return Sharing(join, cache or 0.0, fingerprint.fingerprint(local) or fingerprint.code_hash(local), address)
