"""`simpledist redis --listen`: which addresses, which password, and what to type on the other machines.

Owns the file of the password and the text. A Redis that other machines reach has a password, always: anyone who writes
to it can drop and delay calls. Calls and results are signed, but the wire is not encrypted. Called by redis.py.
"""

from __future__ import annotations

import os
import platform
import secrets
import shlex
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from simpledist import config, private_files
from simpledist.embedded import HOST
from simpledist.errors import ConfigurationError
from simpledist.wire.key_file import unsafe
from simpledist.wire.process_keys import keyring_of

PASSWORD_FILE = "redis-password"
PASSWORD_BYTES = 24
PASSWORD_CHARACTERS = 16  # the least
# Reserved for documentation: nothing is sent, but the system says from which address of ours it would be.
ELSEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}


@dataclass(frozen=True, slots=True)
class Listening:
    """What `--listen` comes to. `reached`: the name or address for other machines. `made`: the password is new."""

    addresses: tuple[str, ...]
    reached: str
    password: str
    password_file: Path
    made: bool
    key_file: str

    def url(self, port: int, *, host: str, password: str) -> str:
        """Return the URL of the server for one machine."""
        return f"redis://:{password}@{host}:{port}/0"

    def lines(self, port: int) -> list[str]:
        """Return what a person reads: what to type on this machine, and on each other one."""
        here = self.url(port, host=HOST, password=f"$(cat {_quoted(self.password_file)})")
        there = self.url(port, host=self.reached, password=self.password if self.made else "PASSWORD")
        key = _quoted(Path(self.key_file))
        shown = (
            f"The password is new, is kept in {self.password_file}, and is shown this once."
            if self.made
            else f"The password is in {self.password_file}: write it in place of PASSWORD."
        )
        return [
            shown,
            "",
            "On this machine, before workers and programs:",
            f'    export SIMPLEDIST_REDIS_URL="{here}"',
            "For each other machine, copy the key; anyone who has it can run code on all of them:",
            f"    scp {key} HOST:simpledist.key",
            "On each other machine:",
            f'    export SIMPLEDIST_REDIS_URL="{there}"',
            "    export SIMPLEDIST_SECRET_FILE=~/simpledist.key",
            "    simpledist-worker --any              # or MODULE:FUNCTION",
            "The network between them is not encrypted: where you do not trust it, use `simpledist ssh`.",
        ]


def listening_on(address: str, port: int) -> Listening | None:
    """Return what it takes to listen there; None for a loopback address, where nothing is needed.

    Raises ConfigurationError for what is no address of this machine, or where there is no safe password.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        raise ConfigurationError(
            f"--listen {address!r} is no IP address: write one of this machine's, or 0.0.0.0 for all of them"
        ) from None
    if parsed.is_loopback:
        if address != HOST:
            raise ConfigurationError(f"--listen {address}: of the loopback addresses it listens on {HOST} only")
        return None
    demand(parsed, port)
    settings = config.load(f"redis://{HOST}:{port}/0")
    key = keyring_of(settings).file
    password, file, made = _password(key)
    return Listening(
        (address,) if address == "0.0.0.0" else (address, HOST), _reached(parsed), password, file, made, key
    )


def demand(address: IPv4Address | IPv6Address, port: int) -> None:
    """Raise ConfigurationError unless this machine can listen there."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((str(address), port))
    except OSError as error:
        raise ConfigurationError(
            f"--listen {address}: port {port} of it cannot be had: {error.strerror or error}"
        ) from None


def _reached(address: IPv4Address | IPv6Address) -> str:
    """Return how other machines reach us at an address; for "all addresses" the one that leads out, else our name."""
    if not address.is_unspecified:
        return f"[{address}]" if address.version == 6 else str(address)
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((ELSEWHERE[address.version], 9))
            found = ip_address(probe.getsockname()[0])
    except OSError:
        return platform.node() or "THIS_MACHINE"
    return f"[{found}]" if found.version == 6 else str(found)


def _password(key_file: str) -> tuple[str, Path, bool]:
    """Return the password, its file, and whether it was made now. It is next to the key, where that is ours."""
    places = [Path(key_file).parent, Path("~/.config/simpledist").expanduser()]
    for place in places:
        file = place / PASSWORD_FILE
        if file.exists():
            return _read(file), file, False
    troubles: list[str] = []
    for place in places:
        file = place / PASSWORD_FILE
        password = secrets.token_hex(PASSWORD_BYTES)
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            made = private_files.make(file, password)
        except OSError as error:
            troubles.append(f"{file}: {error.strerror or error}")
        else:
            return (password, file, True) if made else (_read(file), file, False)
    raise ConfigurationError(
        f"no password for the Redis that other machines reach, and none can be kept: {'; '.join(troubles)}"
    )


def _read(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            status = os.fstat(opened.fileno())
            password = opened.read().strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"password file {file}: {error}") from None
    trouble = unsafe(status.st_mode, owner=status.st_uid, user=os.geteuid())
    if not trouble and status.st_mode & 0o077:
        trouble = "others can read it: remove it, and a new one is made"
    if trouble:
        raise ConfigurationError(f"password file {file}: {trouble}")
    if len(password) < PASSWORD_CHARACTERS or not password.isalnum():
        raise ConfigurationError(
            f"password file {file}: expected {PASSWORD_CHARACTERS} or more letters and digits; remove it, and a new "
            "one is made"
        )
    return password


def _quoted(path: Path) -> str:
    """Return a path as a shell takes it, within double quotes too."""
    text = str(path)
    home = str(Path.home())
    if text.startswith(f"{home}/") and home != "/":
        text = f"~{text[len(home) :]}"
    return text if all(one.isalnum() or one in "~/._-+" for one in text) else shlex.quote(str(path))
