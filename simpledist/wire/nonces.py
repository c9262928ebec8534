"""Nonces: what makes a call unlike every other call, of this and of any other process.

Drawn many at a time, because each visit to the kernel's generator costs as much as sealing a call does. No lock: a
signal handler or a finaliser may submit a call while this very code runs, and taking the last item of a list is atomic.
"""

from __future__ import annotations

import os

NONCE_BYTES = 16
_DRAWN_AT_ONCE = 256

_drawn: list[bytes] = []


def nonce() -> bytes:
    """Return 16 random bytes that were never returned before, in this process or in one that it was forked from."""
    try:
        return _drawn.pop()
    except IndexError:
        fresh = os.urandom(NONCE_BYTES * _DRAWN_AT_ONCE)
    _drawn.extend(fresh[at : at + NONCE_BYTES] for at in range(NONCE_BYTES, len(fresh), NONCE_BYTES))
    return fresh[:NONCE_BYTES]


if hasattr(os, "register_at_fork"):
    # The parent goes on with what it has drawn; its child must not.
    os.register_at_fork(after_in_child=_drawn.clear)
