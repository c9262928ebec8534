"""Lines that a call carries for the code that its arguments name: which calls have them, and what a worker compares.

Owns the rule. Calls of most functions compare; those that go by name, by a version, or with their modules do not. Asked
by encoding.py for arguments whose pickle names anything at all.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simpledist import shipped
from simpledist.buffers import Data
from simpledist.code.tree import top_of
from simpledist.engine.inside import thread
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import OtherCode
from simpledist.interruption import by_signal
from simpledist.reasons import Why

NAMES = 0x93  # the opcode by which a pickle names a class or function; a call of numbers and texts has none
_TEXT = 0x8C  # the opcode of the name


class NotCompared(Exception):
    """It cannot be compared in this moment, or differs from what is on disk: the call stays, for the reason `why`."""

    def __init__(self, why: Why, text: str = "") -> None:
        super().__init__(text)
        self.why: Why = why


def of(spec: FunctionSpec, body: Data) -> str:
    """Return the lines for encoded arguments, "" for none. Raises NotCompared, and what a signal handler raised."""
    if (type(body) is bytes and _TEXT not in body) or not _compares(spec):
        return ""
    if thread.interrupting:  # it would wait for whom it interrupted
        raise NotCompared("nested")
    place = spec.code.found.place if spec.code.found is not None else ("", "")
    try:
        code: Any = import_module("simpledist.code.argument_code")
        lines: str = code.argument_code.lines(body, top_of(place[0]))
    except OtherCode as error:
        raise NotCompared("other_code", str(error)) from None
    except Exception as error:
        if by_signal(error):
            raise
        what = f"the code that its arguments name cannot be read: {type(error).__name__}: {error}"
        raise NotCompared("other_code", what) from error
    return lines


def _compares(spec: FunctionSpec) -> bool:
    """Return whether a worker has to have the caller's code of what arguments name."""
    code = spec.code
    if spec.codec != "pickle" or spec.function == shipped.FUNCTION or code.match == "name":
        return False
    if code.match == "code":
        return True
    # A version is the identity, and what has no digest goes by its name.
    return "@" not in spec.function and (bool(code.key.digest) or not code.known)
