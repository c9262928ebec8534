"""The function of `--setup`: what a worker does once, before its children come, so that they share it.

Owns that it ends: within a bound, with a value or an error, or with the process. Called by the template, and by
children that do not come from it by a fork.
"""

from __future__ import annotations

from simpledist.errors import TargetError
from simpledist.worker.launch import Launch
from simpledist.worker.targets import resolve
from simpledist.worker.watchdog import ends_within


def run_setup(launch: Launch) -> None:
    """Call the function, if there is one, before the bound is over; a process that is in it then ends with status 1.

    Raises TargetError with one line where it is not there, or raises.
    """
    if not launch.setup:
        return
    try:
        with ends_within(launch.setup_seconds):
            (function,) = resolve([launch.setup]).values()
            function()
    except TargetError as error:
        raise TargetError(f"--setup: {error}") from None
    except BaseException as error:
        raise TargetError(f"--setup {launch.setup} fails: {type(error).__name__}: {error}") from error
