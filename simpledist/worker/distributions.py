"""The environment for the code that calls bring: a folder with the distributions of `--with` and `--requirements`.

Owns how it is made, by uv or pip, and that it is there whole or not at all, also where two workers make it at once or
one is killed meanwhile. The folder is in this user's cache, named by what is asked for (requirements.py). Called at a
worker's start, before it has any process; its children put the folder on their path (launch.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from simpledist.code.memo import cache_folder
from simpledist.errors import ConfigurationError
from simpledist.worker import environment, lifeline
from simpledist.worker.requirements import Requirements, constraints

Say = Callable[[str], None]

FOLDER = "distributions"
LINE_CHARACTERS = 300
# What would send pip elsewhere than to --target.
_MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "UV_TARGET", "UV_PREFIX")

_CROSS = "\N{MULTIPLICATION SIGN}"  # by it uv begins what went wrong, and draws lines behind it
_FRAME = re.compile(f"[{_CROSS}\u2500-\u25ff]+")


def made(requirements: Requirements, say: Say) -> Path:
    """Return the folder with these distributions; make it where it is missing, and tell `say` how that goes on.

    Raises ConfigurationError with one line where they cannot be installed.
    """
    kept = cache_folder(FOLDER)
    if kept is None:
        raise ConfigurationError("there is no cache folder for --with: set XDG_CACHE_HOME to one that is yours alone")
    folder = kept / requirements.digest()
    try:
        with _alone(folder, say):
            if folder.is_dir():
                say(f"{requirements.text} is installed in {folder}")
            else:
                _make(folder, requirements, say)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be made: {error.strerror or error}") from None
    return folder


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Generator[None]:
    """Let one worker at a time look and make; the lock goes with its process, however that ends."""
    if folder.is_dir():
        yield
        return
    descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another worker installs the same distributions: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: both make one, and the first that is whole counts
            pass
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path, requirements: Requirements, say: Say) -> None:
    for left in folder.parent.glob(f"{folder.name}.*.part"):  # of a worker that was killed meanwhile
        shutil.rmtree(left, ignore_errors=True)
    part = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(mode=0o700)
        asked, bounds = part / "requirements.txt", part / "constraints.txt"
        asked.write_text("\n".join(requirements.lines) + "\n", "utf-8", "surrogateescape")
        bounds.write_text("\n".join(constraints()) + "\n")
        inside = part / "inside"
        inside.mkdir(mode=0o700)
        name, command = _installer()
        say(f"{name} installs {requirements.text or 'nothing'} into {folder}")
        _install(
            name, [*command, "--target", str(inside), "--constraint", str(bounds), "--requirement", str(asked)], say
        )
        with contextlib.suppress(OSError):  # another worker was first, on a file system without locks
            inside.rename(folder)
        if not folder.is_dir():
            raise ConfigurationError(f"{folder} cannot be made")
        say("installed")
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _installer() -> tuple[str, list[str]]:
    """Return the name and the command of what installs: uv where it is on the path, else this Python's pip."""
    if uv := shutil.which("uv"):
        return "uv", [uv, "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("pip") is not None:
        common = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-warn-conflicts"]
        return "pip", [sys.executable, "-m", "pip", "install", *common]
    raise ConfigurationError("--with and --requirements need uv on the PATH, or pip in this Python: there is neither")


def _install(name: str, command: list[str], say: Say) -> None:
    variables = {key: value for key, value in environment.without_secrets().items() if key not in _MISLEADING}
    said: list[str] = []
    die = functools.partial(lifeline.die_with, os.getpid()) if sys.platform == "linux" else None
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables,
        text=True,
        errors="replace",
        preexec_fn=die,  # this process has one thread yet
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.strip():
                said.append(line.rstrip())
                say(line.rstrip())
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.wait():
        raise ConfigurationError(f"{name} cannot install them: {_reason(said) or f'exit status {process.returncode}'}")


def _reason(said: list[str]) -> str:
    """Return the line that says why an installer failed: of pip its last error, of uv all behind its cross."""
    errors = [line.partition("ERROR:")[2].strip() for line in said if line.startswith("ERROR:")]
    if errors:
        text = errors[-1]
    else:
        cross = next((n for n, line in enumerate(said) if line.lstrip().startswith((_CROSS, "error:"))), len(said) - 1)
        text = _FRAME.sub(" ", " ".join(said[max(0, cross) :]))
    return " ".join(text.partition("hint:")[0].split())[:LINE_CHARACTERS]
