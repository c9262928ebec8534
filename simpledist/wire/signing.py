"""Keys and message authentication codes: keyed blake2b over bytes that are not decoded yet.

Owns the format of secret files. Each code covers the namespace of its process, so that what one cluster signed is
nothing to another one with the same key. Knows nothing of envelopes (wire/envelope.py), which say what else is signed.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterable
from hashlib import blake2b

from simpledist.errors import ConfigurationError, WrongKey
from simpledist.job import DEFAULT_NAMESPACE

MAC_BYTES = 32
KEY_ID_BYTES = 4
KEY_BYTES = range(32, 65)  # blake2b takes no longer ones
ROOT = 0
_SECRET = re.compile(r"[0-9a-fA-F]{64,128}")


def new_secret() -> str:
    """Return a new secret: 32 random bytes as 64 hex digits."""
    return secrets.token_hex(32)


class Keyring:
    """The keys of one process, for one namespace: the first signs, all verify; an empty one (falsy) signs nothing."""

    def __init__(self, keys: Iterable[bytes] = (), namespace: str = DEFAULT_NAMESPACE) -> None:
        self._namespace = b"%d:%b" % (len(namespace.encode()), namespace.encode())
        self._keys = {_key_id(key): key for key in keys}
        # An empty key would make a code that anybody can make.
        if any(len(key) not in KEY_BYTES for key in self._keys.values()):
            raise ConfigurationError("a key has 32 to 64 random bytes; make one with `simpledist secret FILE`")
        self._begun: dict[tuple[bytes, bytes], blake2b] = {}  # (person, key id) -> the code over the namespace alone
        self.signing_id = next(iter(self._keys), b"\0" * KEY_ID_BYTES)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of all keys, in hex; the first key signs."""
        return tuple(id.hex() for id in self._keys)

    def __repr__(self) -> str:
        return f"<keyring of {len(self._keys)} keys>"

    @classmethod
    def from_file(cls, path: str, namespace: str = DEFAULT_NAMESPACE) -> Keyring:
        """Read the keys of a secret file: one a line, 64 to 128 hex digits; to rotate, put the new one first.

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
        return cls((bytes.fromhex(line) for line in lines), namespace)

    def mac(self, person: bytes, key_id: bytes, *parts: bytes | memoryview) -> bytes:
        """Return the code over namespace and `parts` by the key named; `person` keeps calls and results apart.

        Raises WrongKey.
        """
        begun = self._begun.get((person, key_id))
        code = (begun or self._begin(person, key_id)).copy()  # beginning takes as long as all the rest
        for part in parts:
            code.update(part)
        return code.digest()

    def _begin(self, person: bytes, key_id: bytes) -> blake2b:
        key = self._keys.get(key_id)
        if key is None:
            raise WrongKey("signed by a key that is not ours: give every process the same --secret-file")
        return self._begun.setdefault(
            (person, key_id), blake2b(self._namespace, key=key, digest_size=MAC_BYTES, person=person)
        )

    def verify(self, person: bytes, key_id: bytes, mac: bytes, *parts: bytes | memoryview) -> None:
        """Raise WrongKey unless `mac` is the code over `parts` by a key of ours."""
        if not hmac.compare_digest(self.mac(person, key_id, *parts), mac):
            raise WrongKey("the signature does not fit: other key or namespace, or changed on the way")


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


def _key_id(key: bytes) -> bytes:
    return blake2b(key, digest_size=KEY_ID_BYTES, person=b"simpledist-kid").digest()
