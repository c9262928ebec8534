"""Named places where a test can strike: `SIMPLEDIST_FAULT=point:action[,point:action]`, read once, at import.

Owns what can be done at a point; the roles only name their points. Costs one call of an empty function where the
variable is not set, as it always is outside tests. Actions: `kill` (SIGKILL), `stop` (SIGSTOP), `pause=SECONDS`. Each
strikes once a process, at the first passing or, as `kill@3`, the third.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from simpledist.errors import ConfigurationError

VARIABLE = "SIMPLEDIST_FAULT"

POINTS = frozenset(
    {
        "worker.popped",  # BLPOP gave an element, nothing is claimed
        "worker.claimed",  # Redis says running, the parent has read it, no child has it
        "worker.fetched",  # a blob or archive that a job needs has come, and is not kept yet
        "worker.unpacks",  # before each file of an archive
        "worker.begun",  # a child has it
        "worker.ended",  # the outcome is in the parent, Redis does not know
        "worker.completed",  # Redis has the outcome, the parent has read so
        "worker.beat",  # before a beat
        "worker.draining",  # its offers are withdrawn
        "child.begins",  # before the function
        "child.ends",  # after the function, before its outcome is written
        "client.submitting",  # before submit
        "client.submitted",  # Redis has the job, the client has read so
        "client.replied",  # a reply is in the client's hands, not looked at
        "client.nudging",  # before a nudge
        "upload.slice",  # before a slice of a big value is sent
    }
)


def _nothing(_name: str) -> None:
    return None


def _kill(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def read(text: str) -> Callable[[str], None]:
    """Return the function that `point` becomes for this value of the variable. Raises ConfigurationError."""
    if not text:
        return _nothing
    planned: dict[str, tuple[Callable[[str], None], int]] = {}
    for part in text.split(","):
        name, _, what = part.partition(":")
        what, at, turn = what.partition("@")
        action, _, number = what.partition("=")
        try:
            planned[name] = (_action(action, number), int(turn) if at else 1)
        except ValueError:
            planned.clear()
        if name not in POINTS or name not in planned:
            raise ConfigurationError(f"{VARIABLE}: {part!r} is no point:action: {', '.join(sorted(POINTS))}")

    def strike(name: str) -> None:
        if name not in planned:
            return
        act, turn = planned[name]
        if turn > 1:
            planned[name] = (act, turn - 1)
            return
        del planned[name]
        act(name)

    return strike


def _action(action: str, number: str) -> Callable[[str], None]:
    if action == "pause":
        seconds = float(number)
        return lambda _name: time.sleep(seconds)
    actions = {"kill": _kill, "stop": _stop}
    if action not in actions or number:
        raise ValueError(action)
    return actions[action]


point = read(os.environ.get(VARIABLE, ""))
