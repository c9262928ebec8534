"""A throw-away child for calls that killed processes on workers: never the client's own process.

The child is a fresh interpreter that gets the function by value or by name and never re-imports `__main__`; what cannot
be pickled, or not loaded, is forked, where forking is safe. Where even that is not possible, a `lost` call runs in this
process (the workers may have died of something else) and a `crashed` one raises FunctionCrashed.

Between the child and this process stands a shield, which only waits: a function that kills its parent kills the shield,
and where this process dies, the shield ends the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from simpledist import forked_copies, randomness, wire
from simpledist.buffers import Data
from simpledist.config import NESTED_VARIABLE
from simpledist.engine.argument_snapshot import Sent
from simpledist.errors import ConfigurationError, FunctionCrashed, JobTimeout, Undecodable, Unserialisable
from simpledist.exit_status import in_words
from simpledist.reasons import SUSPECT, Why
from simpledist.wire import serializers
from simpledist.wire.serializers import one_line

# What the child writes: a byte when it has loaded the call, one when the function has come to its end, then its outcome
# behind the kind of it. Where it stops says what killed it.
_LOADED, _ENDED = b"l", b"e"
_VALUE, _ERROR, _UNSENDABLE, _UNREADABLE = b"v", b"r", b"s", b"u"
LOAD_SECONDS = 60.0  # a call with a hard timeout has so long to be loaded by a fresh interpreter
LONGEST_POLL_MS = 1e6
# The caller's path without the current folder, which is added (if the caller has it) when all of ours is imported.
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from simpledist.engine.throwaway import main; main()"


def run(
    function: str,
    local: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    sent: Sent | None = None,
    why: Why,
    hard_seconds: float | None = None,
) -> Any:
    """Return the value of the call, or raise its exception; FunctionCrashed if the child dies too.

    The call is never loaded in this process: loading it may be what kills. What cannot be loaded, or kills who loads
    it, is forked: a fork needs no pickle. `sent`: arguments that may have changed since the call was made, as they
    were. `why` it runs here; `hard_seconds`: after so long it raises JobTimeout. With a hard timeout, or where it used
    too much memory, it never runs in this process: what has no other way raises ConfigurationError, or MemoryError.
    """
    try:
        status, answer, loaded = _run(local, args, kwargs, sent, hard_seconds, goes_first=why == "memory")
    except _OverTime:
        raise JobTimeout(function, hard_seconds or 0.0) from None
    except _NoChild as error:
        if why == "crashed":
            raise FunctionCrashed(f"{function} killed {2} worker children, and {error}") from None
        _demand_this_process(function, f"{error}", why, hard_seconds)
        return local(*args, **kwargs)
    if answer in (b"", _LOADED):
        others = "workers' children, and here " if why in SUSPECT else ""
        raise FunctionCrashed(f"{function} kills its process: {others}a throw-away child ({in_words(status)})")
    kind, body = answer[2:3], answer[3:]
    if kind not in (_VALUE, _ERROR):
        # The function lives, and its outcome cannot travel (or kills who tries): then it is safe here.
        _demand_this_process(function, f"its outcome cannot be sent: {bytes(body).decode()}", why, hard_seconds)
        return _here(local, args, kwargs, sent if loaded else None)
    try:
        decoded = wire.decode_outcome(
            wire.OpenOutcome(kind="value" if kind == _VALUE else "error", codec="pickle", body=body)
        )
    except Undecodable as error:
        _demand_this_process(function, f"its outcome cannot be read: {error}", why, hard_seconds)
        return _here(local, args, kwargs, sent if loaded else None)
    if isinstance(decoded, wire.Raised):
        raise decoded.exception
    return decoded.value


class _OverTime(Exception):
    """The child was killed: its time was over."""


class _NoChild(Exception):
    """The call cannot be brought to a throw-away child."""


def _demand_this_process(function: str, vain: str, why: Why, hard_seconds: float | None) -> None:
    """Raise for a call that must not run in this process. `vain`: why no other one can."""
    if hard_seconds is not None:
        raise ConfigurationError(f"{function}: hard_timeout= needs calls and outcomes that can be pickled, and {vain}")
    if why == "memory":
        raise MemoryError(f"{function} used more memory than its worker has or allows, and {vain}")


def _run(
    local: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    sent: Sent | None,
    hard_seconds: float | None,
    *,
    goes_first: bool,
) -> tuple[int, bytes, bool]:
    """Run the call in a child; return how that ended, what it wrote, and whether it has loaded what was sent.

    `goes_first`: where this machine runs out of memory, the child is ended, not its caller.
    """
    try:
        call = serializers.dumps("pickle", (local, sent or (args, kwargs)))
    except Unserialisable:
        pass
    else:
        status, answer = _spawned(call, hard_seconds, goes_first=goes_first)
        if answer.startswith(_LOADED):  # so the arguments as they were sent harm no process
            return status, answer, True
    if sys.platform != "linux" or not hasattr(os, "fork"):
        raise _NoChild("it cannot be sent to a throw-away child here")
    return *_forked(local, args, kwargs, hard_seconds, goes_first=goes_first), False


def _go_first(pid: int | str) -> None:
    """Have the kernel choose this process and what it starts where memory runs out (Linux)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _here(local: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], sent: Sent | None) -> Any:
    if sent is not None:
        args, kwargs = sent.load()
    return local(*args, **kwargs)


def _spawned(call: bytes, hard_seconds: float | None, *, goes_first: bool) -> tuple[int, bytes]:
    read_end, write_end = os.pipe()
    # -P: nothing is imported from the folder that the caller happens to stand in. 3.10 has no such flag, and needs
    # none: the path is set before the first import of a file.
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    command: list[str] = [sys.executable, *safe_path, "-c", _BOOT, str(write_end), *filter(None, sys.path)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            env={**os.environ, NESTED_VARIABLE: "1"},
            pass_fds=(write_end,),
            start_new_session=True,
        )
    finally:
        os.close(write_end)
    if goes_first:
        _go_first(process.pid)  # before it has the call
    with process, os.fdopen(read_end, "rb") as answers:
        try:
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(_surroundings()).encode() + b"\n" + call)
                process.stdin.close()
            except BrokenPipeError:
                pass
            answer = _read(answers, hard_seconds)
            return process.wait(), answer
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _surroundings() -> dict[str, Any]:
    """Return what of this process a function may depend on, and a fresh interpreter has not."""
    return {
        "path": sys.path,
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else None,
    }


def _read(answers: BinaryIO, hard_seconds: float | None) -> bytes:
    """Return what a child writes until its end. Raises _OverTime: it has loaded its call, and runs for too long."""
    if hard_seconds is None:
        return answers.read()
    poll = select.poll()
    poll.register(answers.fileno(), select.POLLIN)
    found = bytearray()
    ends_at = time.monotonic() + hard_seconds + LOAD_SECONDS
    while True:
        left_ms = (ends_at - time.monotonic()) * 1000
        if len(found) < len(_LOADED + _ENDED) and not poll.poll(min(max(left_ms, 0), LONGEST_POLL_MS)):
            if left_ms <= LONGEST_POLL_MS:
                raise _OverTime
            continue
        piece = os.read(answers.fileno(), 1 << 16)
        if not piece:
            return bytes(found)
        if not found:
            ends_at = time.monotonic() + hard_seconds
        found += piece


def _forked(
    local: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    hard_seconds: float | None,
    *,
    goes_first: bool,
) -> tuple[int, bytes]:
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # The child does nothing but this one call and leaves by _exit.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.environ[NESTED_VARIABLE] = "1"
            os.close(read_end)
            if goes_first:
                _go_first("self")
            with os.fdopen(write_end, "wb") as answers:
                _shield(answers)
                randomness.begin_anew()
                _tell(answers, _LOADED)
                _answer(answers, local, args, kwargs)
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as answers:
            answer = _read(answers, hard_seconds)
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), answer


def _shield(answers: BinaryIO) -> None:
    """Return in a child of this process, which waits for it, ends as it does, and ends it if no one reads."""
    if not hasattr(os, "fork"):
        return
    alive, held = os.pipe()  # the child holds one end for as long as it lives
    pid = os.fork()
    if pid == 0:
        os.close(alive)
        # A copy that the function makes and that lives on keeps neither the shield nor the caller waiting.
        os.register_at_fork(after_in_child=lambda: _close(held, answers.fileno()))
        return
    os.close(held)
    poll = select.poll()
    poll.register(alive, select.POLLIN)
    poll.register(answers.fileno(), 0)  # no event but that its reader, the client, is gone
    if any(fd == answers.fileno() for fd, _ in poll.poll()):
        os.kill(pid, signal.SIGKILL)
    answers.close()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL is as it should be anyway
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _tell(answers: BinaryIO, data: bytes) -> None:
    answers.write(data)
    answers.flush()


def _answer(answers: BinaryIO, local: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """In the child: run the call and write its outcome."""
    original, value, error = forked_copies.Original(), None, None
    try:
        value = local(*args, **kwargs)
    except BaseException as raised:  # noqa: BLE001 - it is the outcome
        error = raised
    if original.is_copied():
        forked_copies.leave(error, frames_of_ours=1)
    _tell(answers, _ENDED)
    body: Data = b""
    try:
        if error is not None:
            kind, body = _ERROR, wire.encode_error("pickle", error, frames_of_ours=1)[0]
        else:
            body = wire.encode_value("pickle", value)
            kind = _VALUE if wire.survives_round_trip("pickle", value, body) else _UNSENDABLE
        if kind == _UNSENDABLE:
            body = f"a {type(value).__name__} would not come back as one".encode()
    except BaseException as broken:  # noqa: BLE001 - code of the value, which may raise anything
        kind, body = _UNSENDABLE, one_line(broken).encode("utf-8", "replace")
    _tell(answers, kind + bytes(body))


def main() -> None:
    """Run the child: one call from stdin, one outcome to the descriptor named by the first argument."""
    with os.fdopen(int(sys.argv[1]), "wb") as answers:
        _shield(answers)
        surroundings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
        call = sys.stdin.buffer.read()
        del sys.argv[1:]
        sys.path[:] = surroundings["path"]
        sys.setrecursionlimit(surroundings["recursion"])
        if surroundings["digits"] is not None:
            sys.set_int_max_str_digits(surroundings["digits"])
        try:
            local, (args, kwargs) = serializers.loads("pickle", call)
        except BaseException:  # noqa: BLE001 - code of the arguments, which may raise anything
            _tell(answers, _UNREADABLE)
            return
        randomness.begin_anew()
        _tell(answers, _LOADED)
        _answer(answers, local, args, kwargs)
