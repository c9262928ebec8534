"""Files that only their user may read, written whole at once: keys, passwords, the address of a Redis with a password.

A process that dies while it writes leaves a draft, never half a file under the name. Owns how they are written; who
reads one checks it himself (wire/key_file.py). Called by every file that keeps a secret of the user.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def make(path: Path, text: str) -> bool:
    """Make a file with this text; leave one alone that another process has made meanwhile.

    Parameters: `path`, whose folder is there; `text`, without the end of its last line.
    Returns: whether the file is the one made here.
    Raises: OSError where it cannot be written.
    Example: `make(folder / "key", new_secret())`
    """
    with _draft(path, text) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        return True


def replace(path: Path, text: str) -> None:
    """Make a file with this text, in the place of the one that is there.

    Parameters: `path`, whose folder is there; `text`, without the end of its last line.
    Raises: OSError where it cannot be written.
    Example: `replace(folder / "redis-url", config.url)`
    """
    with _draft(path, text) as draft:
        os.replace(draft, path)


@contextmanager
def _draft(path: Path, text: str) -> Generator[Path]:
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{text}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        with contextlib.suppress(FileNotFoundError):  # it has been renamed
            os.unlink(draft)
