"""Key files: how keys stand in a file, and which files are refused because of their owner or permissions.

Owns the format. Where a file is looked for is in user_key.py and process_keys.py; what is done with keys in keyring.py.
"""

from __future__ import annotations

import os
import re
import secrets

from simpledist.errors import ConfigurationError
from simpledist.job import DEFAULT_NAMESPACE
from simpledist.wire.keyring import Keyring

ROOT = 0
_SECRET = re.compile(r"[0-9a-fA-F]{64,128}")


def new_secret() -> str:
    """Return a new secret: 32 random bytes as 64 hex digits."""
    return secrets.token_hex(32)


def keyring_from(path: str, namespace: str = DEFAULT_NAMESPACE) -> Keyring:
    """Read the keys of a secret file: one a line, 64 to 128 hex digits; the first signs.

    Raises ConfigurationError where the file cannot be read, is not safe from others, or holds anything else.
    """
    try:
        with open(path, encoding="ascii") as file:
            status = os.fstat(file.fileno())
            if trouble := unsafe(status.st_mode, owner=status.st_uid, user=_user()):
                raise ConfigurationError(f"secret file {path}: {trouble}")
            lines = file.read().split()
    except UnicodeDecodeError:
        lines = []  # its text would quote the file
    except ConfigurationError:
        raise
    except IsADirectoryError:
        raise ConfigurationError(f"secret file {path}: it is a folder: name the file in it") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"secret file {path}: {error}; make one with `simpledist secret {path}`") from None
    if not lines or not all(_SECRET.fullmatch(line) and len(line) % 2 == 0 for line in lines):
        raise ConfigurationError(
            f"secret file {path}: expected lines of 64 hex digits; make one with `simpledist secret FILE`"
        )
    return Keyring((bytes.fromhex(line) for line in lines), namespace, file=path)


def unsafe(mode: int, *, owner: int, user: int) -> str:
    """Return why a key file of this mode and owner is not safe from others, and what to do; "" where it is.

    Root's may be readable: so are the secrets that containers are given.
    """
    if owner not in (user, ROOT):
        return f"it belongs to user {owner}, neither to us (user {user}) nor to root: chown it, or copy it"
    if mode & 0o022:
        return "others can write to it: chmod 600 it"
    if owner != ROOT and mode & 0o044:
        return "others can read it: chmod 600 it, and make a new one if they may have done so"
    return ""


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else ROOT
