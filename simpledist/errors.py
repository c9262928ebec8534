"""Every exception of simpledist, in families by who must act.

Owns the class tree and the remedy of each error (its docstring). Knows nothing of the rest of the package.
"""

from __future__ import annotations


class SimpledistError(Exception):
    """Anything that simpledist raises by itself; what a function raises is never wrapped in it."""


# --- the caller must act: the program uses the library wrongly -------------------------------------------------


class ConfigurationError(SimpledistError, ValueError):
    """A URL, name, key or option cannot be used; the message names it and says what to write instead."""


class TargetError(SimpledistError):
    """A worker's target does not import or does not exist; the message says which and why."""


# --- the operator must act: Redis or the cluster is not as it should be ----------------------------------------
# Calls never raise these: they run here instead. Command lines and the monitor report them.


class OperatorError(SimpledistError):
    """The cluster, not the program, is at fault."""


class RedisDown(OperatorError):
    """Redis cannot be reached just now; start it, or wait: everything here reconnects by itself."""


class RedisRefused(OperatorError):
    """Redis answers, but refuses us: password, permission, version, memory or a foreign value at our key."""


class Undeliverable(OperatorError):
    """A value never gets through to Redis, or from it, though Redis is there: a limit of the server, or a right."""


class BudgetSpent(OperatorError):
    """The time that a call may spend away from its client is over; it runs here."""


class BadEnvelope(OperatorError):
    """Bytes from Redis are not what an honest peer sends: wrong key, other call, damaged or foreign."""


class StaleOutcome(BadEnvelope):
    """The outcome of an equal call, honestly signed, but made earlier than this caller asks for."""


class WrongKey(BadEnvelope):
    """The bytes are not signed by a key of ours: give client and worker the same --secret-file."""


class Undecodable(OperatorError):
    """Bytes of an honest peer cannot be turned into objects here: other Python, missing module."""


class ModuleMissing(Undecodable):
    """A function that came with its call needs a module or a file that this worker does not have."""


class MissingBlob(Undecodable):
    """A blob that a call names is not to be had; its client puts it again. `str` begins with the name of the class."""

    def __str__(self) -> str:
        return f"MissingBlob: {super().__str__()}"


BRINGS = "an argument brings "  # so begins the text of each OtherCode


class OtherCode(Undecodable):
    """An argument names a class or function whose code is not the caller's: restart the worker or the program."""


class NoRoom(OperatorError):
    """Redis has no room for another blob: its value travels with the call."""


class Unserialisable(OperatorError):
    """A value cannot be turned into bytes, or would not survive the way back."""


class NotPacked(Unserialisable):
    """The code that a call needs does not travel with it: a file has changed since it was imported, or is too big."""

    def __init__(self, text: str, *, changed: bool = False) -> None:
        super().__init__(text)
        self.changed = changed


class Unkeyable(Unserialisable):
    """A value has no canonical form: a call with it is neither joined nor cached, and runs as any other."""


# --- outcome of the job ----------------------------------------------------------------------------------------


class JobError(SimpledistError):
    """The one family that a call itself may raise."""


class FunctionCrashed(JobError):
    """The function kills whatever process runs it: on workers, and then in a throw-away child of this process."""


class JobTimeout(JobError):
    """The call ran for longer than its caller allows (`hard_timeout=`), and was ended, wherever it ran."""

    def __init__(self, function: str, seconds: float) -> None:
        super().__init__(function, seconds)
        self.function = function
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.function} ran for longer than hard_timeout={self.seconds:g} s, and was ended"


class RemoteTraceback(SimpledistError):
    """The text of the traceback on the worker; stands as `__cause__` of an exception that a job raised there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return "\n" + self.text
