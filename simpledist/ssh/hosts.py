"""Hosts as people write them: [USER@]HOST[:PORT], on a command line or in a file.

Pure. A name that begins with "-", or has any character that ssh or a shell takes for more than a name, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from simpledist.errors import ConfigurationError

_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?"
_ADDRESS = r"\[[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?\]"
_HOST = re.compile(rf"(?:({_USER})@)?(?:({_NAME})|({_ADDRESS}))(?::([0-9]{{1,5}}))?")
MOST_HOSTS = 1000  # each is a process of ssh here


@dataclass(frozen=True, slots=True)
class Host:
    """One machine. `name`: as it was written; `target`: [USER@]HOST for ssh; no port: as ssh's configuration says."""

    name: str
    target: str
    port: int | None = None

    @property
    def by_hand(self) -> str:
        """Return the arguments of ssh for this host."""
        return self.target if self.port is None else f"-p {self.port} {self.target}"


def parse(word: str) -> Host:
    """Return the host that a word names. Raises ConfigurationError."""
    found = _HOST.fullmatch(word)
    if found is None:
        hint = ": an IPv6 address is written [ADDRESS]:PORT" if word.count(":") > 1 else ""
        raise ConfigurationError(f"{word[:80]!r} is no host: write HOST, HOST:PORT or USER@HOST:PORT{hint}")
    user, name, address, port = found.groups()
    if port is not None and not 0 < int(port) < 65536:
        raise ConfigurationError(f"host {word!r}: a port is a number from 1 to 65535")
    target = name or address[1:-1]
    return Host(word, f"{user}@{target}" if user else target, int(port) if port else None)


def read(file: str) -> list[Host]:
    """Return the hosts of a file: one a line; what follows a # is a comment. Raises ConfigurationError."""
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"hosts file {file}: {error}") from None
    found: list[Host] = []
    for number, line in enumerate(lines, 1):
        word = line.partition("#")[0].strip()
        if word:
            try:
                found.append(parse(word))
            except ConfigurationError as error:
                raise ConfigurationError(f"hosts file {file}, line {number}: {error}") from None
    if not found:
        raise ConfigurationError(f"hosts file {file} names no host: write one a line")
    return found


def chosen(words: Iterable[str], file: str | None) -> list[Host]:
    """Return the hosts of a command line and of a file, each once. Raises ConfigurationError where there is none."""
    named = [*map(parse, words), *(read(file) if file is not None else [])]
    hosts = list({host.name: host for host in named}.values())
    if not hosts:
        raise ConfigurationError("name a host, or a file that lists hosts (--hosts FILE)")
    if len(hosts) > MOST_HOSTS:
        raise ConfigurationError(f"{len(hosts)} hosts: one command takes {MOST_HOSTS}")
    return hosts
