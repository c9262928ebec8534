"""A throw-away child for calls that killed processes on workers: never the client's own process.

The child is a fresh interpreter that gets the function by value or by name and never re-imports `__main__`; what cannot
be pickled is forked, where forking is safe. Where even that is not possible, a `lost` call runs in this process (the
workers may have died of something else) and a `crashed` one raises FunctionCrashed.

Between the child and this process stands a shield, which only waits: a function that kills its parent kills the shield,
and where this process dies, the shield ends the child.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO

from simpledist import serializers, wire
from simpledist.config import NESTED_VARIABLE
from simpledist.errors import FunctionCrashed, Undecodable, Unserialisable

_KIND = struct.Struct(">B")
_VALUE, _ERROR, _UNSENDABLE = 0, 1, 2


def run(
    function: str,
    local: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    crashed: bool,
) -> Any:
    """The value of the call, or its exception; FunctionCrashed if the child dies too."""
    try:
        call = serializers.dumps("pickle", (sys.path, local, args, kwargs))
        serializers.loads("pickle", call)
    except (Unserialisable, Undecodable):
        if sys.platform != "linux":
            if crashed:
                raise FunctionCrashed(
                    f"{function} killed {2} worker children, and cannot be sent to a throw-away child here"
                ) from None
            return local(*args, **kwargs)
        status, answer = _forked(local, args, kwargs)
    else:
        status, answer = _spawned(call)
    if not answer:
        raise FunctionCrashed(
            f"{function} kills its process: workers' children, and here a throw-away child ({_told(status)})"
        )
    kind, body = answer[0], answer[1:]
    if kind == _UNSENDABLE:
        # It lives, and its outcome cannot travel: then it is safe here.
        return local(*args, **kwargs)
    try:
        decoded = wire.decode_outcome(
            wire.OpenOutcome(kind="value" if kind == _VALUE else "error", codec="pickle", body=body)
        )
    except Undecodable:
        return local(*args, **kwargs)
    if isinstance(decoded, wire.Raised):
        raise decoded.exception
    return decoded.value


def _spawned(call: bytes) -> tuple[int, bytes]:
    read_end, write_end = os.pipe()
    environment = {**os.environ, NESTED_VARIABLE: "1"}
    # The path of this file's package first, so that the child finds the same simpledist.
    command = [sys.executable, "-c", "from simpledist.client.throwaway import main; main()", str(write_end)]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=environment, pass_fds=(write_end,), start_new_session=True
        )
    finally:
        os.close(write_end)
    with process, os.fdopen(read_end, "rb") as answers:
        try:
            assert process.stdin is not None
            try:
                process.stdin.write(call)
                process.stdin.close()
            except BrokenPipeError:
                pass
            answer = answers.read()
            return process.wait(), answer
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _forked(local: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, bytes]:
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
            with os.fdopen(write_end, "wb") as answers:
                _shield(answers)
                _answer(answers, local, args, kwargs)
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as answers:
            answer = answers.read()
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), answer


def _shield(answers: BinaryIO) -> None:
    """Return in a child of this process, which waits for it, ends as it does, and ends it when nobody reads answers."""
    alive, held = os.pipe()  # the child holds one end for as long as it lives
    pid = os.fork()
    if pid == 0:
        os.close(alive)
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


def _answer(answers: BinaryIO, local: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """In the child: run the call and write its outcome as one piece."""
    try:
        try:
            kind, body = _VALUE, wire.encode_value("pickle", local(*args, **kwargs))
        except Unserialisable:
            kind, body = _UNSENDABLE, b""
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            kind, body = _ERROR, wire.encode_error("pickle", error)[0]
    except Unserialisable:
        kind, body = _UNSENDABLE, b""
    answers.write(_KIND.pack(kind) + bytes(body))
    answers.flush()


def _told(status: int) -> str:
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"


def main() -> None:
    """The child's whole life: one call from stdin, one outcome to the descriptor named by the first argument."""
    with os.fdopen(int(sys.argv[1]), "wb") as answers:
        _shield(answers)
        # The client has loaded these very bytes itself before it sent them.
        path, local, args, kwargs = serializers.loads("pickle", sys.stdin.buffer.read())
        sys.path[:] = path
        _answer(answers, local, args, kwargs)
