"""Keys and message authentication codes: keyed blake2b over bytes that are not decoded yet.

Each code covers the namespace of its process, so that what one cluster signed is nothing to another one with the same
key. Knows no file (key_file.py) and nothing of envelopes (envelope.py), which say what else is signed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import blake2b

from simpledist.errors import ConfigurationError, WrongKey
from simpledist.job import DEFAULT_NAMESPACE

MAC_BYTES = 32
KEY_ID_BYTES = 4
KEY_BYTES = range(32, 65)  # blake2b takes no longer ones
_MOST_BEGUN = 1024  # a client may name any number of functions


class Keyring:
    """The keys of one process, for one namespace: the first signs, all verify; an empty one (falsy) signs nothing.

    `pickles`: whether this process decodes pickles at all. `file`: where the keys are from, for people.
    """

    def __init__(
        self,
        keys: Iterable[bytes] = (),
        namespace: str = DEFAULT_NAMESPACE,
        *,
        pickles: bool = True,
        file: str = "",
    ) -> None:
        self.pickles, self.file = pickles, file
        self._namespace = b"%d:%b" % (len(namespace.encode()), namespace.encode())
        self._keys = {_key_id(key): key for key in keys}
        # An empty key would make a code that anybody can make.
        if any(len(key) not in KEY_BYTES for key in self._keys.values()):
            raise ConfigurationError("a key has 32 to 64 random bytes; make one with `simpledist secret FILE`")
        self._begun: dict[tuple[bytes, bytes, bytes], blake2b] = {}  # person, key id, about -> the code so far
        self.signing_id = next(iter(self._keys), b"\0" * KEY_ID_BYTES)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of all keys, in hex; the first key signs."""
        return tuple(id.hex() for id in self._keys)

    def as_file(self) -> str:
        """Return what a key file with these keys holds, to be handed to a process on another machine. It is secret."""
        return "".join(f"{key.hex()}\n" for key in self._keys.values())

    def __repr__(self) -> str:
        return f"<keyring of {len(self._keys)} keys>"

    def mac(self, person: bytes, key_id: bytes, about: bytes, *parts: bytes | memoryview) -> bytes:
        """Return the code over namespace, `about` and `parts` by the key named.

        `person` keeps calls and results apart. `about`: what many messages have in common. Raises WrongKey.
        """
        begun = self._begun.get((person, key_id, about))
        code = (begun or self._begin(person, key_id, about)).copy()  # beginning takes as long as all the rest
        for part in parts:
            code.update(part)
        return code.digest()

    def _begin(self, person: bytes, key_id: bytes, about: bytes) -> blake2b:
        key = self._keys.get(key_id)
        if key is None:
            raise WrongKey("signed by a key that is not ours: give every process the same --secret-file")
        if len(self._begun) >= _MOST_BEGUN:
            self._begun.clear()
        code = blake2b(self._namespace, key=key, digest_size=MAC_BYTES, person=person)
        code.update(about)
        return self._begun.setdefault((person, key_id, about), code)

    def verify(self, person: bytes, key_id: bytes, mac: bytes, about: bytes, *parts: bytes | memoryview) -> None:
        """Raise WrongKey unless `mac` is the code over `about` and `parts` by a key of ours."""
        if not hmac.compare_digest(self.mac(person, key_id, about, *parts), mac):
            raise WrongKey("the signature does not fit: other key or namespace, or changed on the way")


def _key_id(key: bytes) -> bytes:
    return blake2b(key, digest_size=KEY_ID_BYTES, person=b"simpledist-kid").digest()
