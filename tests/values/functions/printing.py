"""Functions that do to their streams what programs and libraries do."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from typing import Any

sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
print("printed at import")

_log = logging.getLogger("printing")
_log.addHandler(logging.StreamHandler(sys.stderr))
_log.propagate = False


def say(text: str) -> str:
    print(text)
    return text


def say_much(text: str, lines: int) -> int:
    for number in range(lines):
        print(f"{text} {number} " + "x" * 200)
    return lines


def by_buffer(text: str) -> int:
    return sys.stdout.buffer.write(text.encode() + b"\n")


def by_descriptor(text: str) -> int:
    return os.write(1, text.encode() + b"\n")


def by_program(text: str) -> int:
    return subprocess.run(["echo", text], check=True).returncode


def by_c(text: str) -> int:
    return ctypes.CDLL(None).printf(b"%s", text.encode())


def by_home_stream(text: str) -> None:
    print(text, file=sys.__stdout__)


def by_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def by_log(text: str) -> None:
    _log.error(text)


def by_warning(text: str) -> None:
    warnings.warn(text, stacklevel=1)


def by_thread(text: str) -> None:
    thread = threading.Thread(target=print, args=(text,))
    thread.start()
    thread.join()


def without_newline(text: str) -> None:
    sys.stdout.write(text)


def in_order(text: str) -> None:
    print(text, 1)
    os.write(1, f"{text} 2\n".encode())
    subprocess.run(["echo", f"{text} 3"], check=True)
    print(text, 4, file=sys.stderr)
    ctypes.CDLL(None).printf(b"%s 5\n", text.encode())
    print(text, 6)


def attributes(_: object) -> dict[str, Any]:
    out: Any = sys.stdout
    out.reconfigure(line_buffering=True)
    return {
        "name": out.name,
        "mode": out.mode,
        "encoding": out.encoding,
        "line_buffering": out.line_buffering,
        "fileno": out.fileno(),
        "isatty": out.isatty(),
        "closed": out.closed,
        "writable": out.writable(),
        "readable": out.readable(),
        "buffer": out.buffer.name,
        "text": isinstance(out, io.TextIOWrapper),
        "binary": isinstance(out.buffer, io.BufferedWriter),
        "stderr": (sys.stderr.name, sys.stderr.fileno()),
        "stdin": sys.stdin.read(),
    }


def close(_: object) -> bool:
    sys.stdout.close()
    try:
        print("after the end")
    except ValueError:
        return sys.stdout.closed
    return False


def close_both_and_stdin(_: object) -> None:
    sys.stdout.close()
    sys.stderr.close()
    sys.stdin.close()


def close_descriptors(_: object) -> None:
    os.close(1)
    os.close(2)


def redirect_descriptor(_: object) -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.close(descriptor)


def nothing_there(_: object) -> None:
    sys.stdout = None  # type: ignore[assignment]
    print("to nobody")


def replace(_: object) -> None:
    sys.stdout = sys.stderr = io.StringIO()


def wrap_and_forget(_: object) -> None:
    io.TextIOWrapper(sys.stdout.buffer, "utf-8").write("wrapped\n")


def detach(_: object) -> None:
    sys.stdout = io.TextIOWrapper(sys.stdout.detach(), "latin-1")  # type: ignore[attr-defined]


def make_ascii(_: object) -> None:
    sys.stdout.reconfigure(encoding="ascii", errors="strict")  # type: ignore[union-attr]


def redirected(text: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        print(text)
    return stream.getvalue()


def half_a_surrogate(_: object) -> None:
    print("\ud800")
