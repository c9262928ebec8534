"""A bound on what runs before a child may take jobs: the code of `--setup`, and imports of a caller's modules.

Owns that it ends, also where it hangs with the interpreter's lock held. Used in templates and children.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def ends_within(seconds: float) -> Generator[None]:
    """End this process with status 1 where the body takes longer than so many seconds."""
    # By a thread of C, which needs no GIL: it writes down where the code hangs, also in code that is not Python.
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
