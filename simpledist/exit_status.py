"""Exit statuses of processes, in words for people. Used for the children of a worker and for throw-away children."""

from __future__ import annotations

import signal


def in_words(status: int) -> str:
    """Return `exit status 3` or `killed by SIGSEGV` for the exit code of a process."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
