"""The code of a caller's function: its digest, worked out by the first of its calls that would travel.

Owns when that is done, and what it means for the calls of the function: which code may serve them. To read sources
takes up to a second, so a call that stays at home has none made, and an interruption neither: it waits for nothing.
Held by the function's spec; routing.py asks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from simpledist.broker.records import ANY_PLACE
from simpledist.engine.known import Key, Store
from simpledist.interruption import by_signal

if TYPE_CHECKING:
    from simpledist.code.digest import CodeDigest

Match = Literal["code", "name"] | None


class OwnCode:
    """One function. The thread that works it out writes each attribute once; two threads come to the same.

    `key`: by what is known of it elsewhere (known.py); `packages`: other first-party packages that it reaches, as they
    travel with a call (envelope.py); `found`: the digest with its tree; `keeps`: why no call of this function travels,
    in words.
    """

    __slots__ = ("found", "keeps", "key", "known", "match", "packages", "ships_by_value", "ships_until", "strict")

    def __init__(self, function: str, match: Match = None, *, strict: bool = False, tags: tuple[str, ...] = ()) -> None:
        self.match: Match = match
        self.strict = strict  # no other code serves these calls
        self.key = Key(function, tags=tags)
        self.packages = ""
        self.known = match == "name"
        self.found: CodeDigest | None = None
        self.keeps = ""
        self.ships_by_value = False  # then its function is pickled with each call, and not named
        self.ships_until = 0.0  # no worker has it, and one with `--any` took a call: the next ones go there at once

    def __reduce__(self) -> Any:
        """Pickle what was asked for: what was found is that of this process."""
        return _made, (self.key.function, self.match, self.strict, self.key.tags)

    @property
    def identity(self) -> str:
        """Return what makes two callers' code the same, "" where that is not known."""
        return f"{self.key.digest} {self.packages}" if self.key.digest else ""

    @property
    def travels(self) -> bool:
        """Return whether calls of the function may travel, as far as it is known by now."""
        return self.known and not self.keeps

    def work_out(self, local: Callable[..., Any], store: Store) -> bool:
        """Find the digest; return False where this process has no room for that in this moment.

        Raises what a signal handler raised meanwhile.
        """
        try:
            found: CodeDigest = import_module("simpledist.code.digest").digests.of(local)
        except (RecursionError, MemoryError):
            return False
        except BaseException as error:
            if not isinstance(error, Exception) or by_signal(error):
                raise
            found = import_module("simpledist.code.digest").unreadable(error)
        function = self.key.function
        self.found = found
        if found.text:
            strict = self.strict or self.match == "code"
            place = "" if strict else ANY_PLACE if "@" in function else found.short_place
            self.packages = " ".join(f"{name}:{hash}" for name, hash in found.packages.items() if hash)
            before, self.key = self.key, self.key._replace(digest=found.text, place=place)
            store.has_code(before, self.key)
        elif found.changed:
            self.keeps = found.reason
        elif self.match == "code":
            self.keeps = f'match="code" is given and its code cannot be identified: {found.reason}'
        self.known = True
        return True


def _made(function: str, match: Match, strict: bool, tags: tuple[str, ...]) -> OwnCode:
    return OwnCode(function, match, strict=strict, tags=tags)
