"""Both ends of the tunnel: where ssh connects here, and the URL of Redis for the worker there.

Pure, but for `reached_by`, which makes a link to a Unix socket: its own path may have characters that ssh takes apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from simpledist import config
from simpledist.errors import ConfigurationError

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:.]{2,45}")
DEFAULT_PORT = 6379
# What of a URL's options is for Redis itself, and not for the way to it.
_KEPT = ("username", "password")


@dataclass(frozen=True, slots=True)
class Tunnel:
    """`target`: where ssh connects at this end, as in -R. The other end is a Unix socket."""

    target: str
    _login: str = field(repr=False)  # it may hold a password
    _options: tuple[str, ...] = field(repr=False)

    def url(self, socket: str) -> str:
        """Return the URL of the Redis for a process at the other end."""
        options = f"?{'&'.join(self._options)}" if self._options else ""
        return f"unix://{self._login}{quote(socket)}{options}"


def reached_by(url: str, folder: Path) -> Tunnel:
    """Return the tunnel to the Redis of this URL; `folder` is one of our own. Raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "unix"):
        raise ConfigurationError(
            f"{config.redacted(url)}: a tunnel carries redis:// and unix:// only. Workers that reach this Redis by "
            "themselves need no tunnel: start simpledist-worker there with this URL"
        )
    login, at, _ = parts.netloc.rpartition("@")
    options = [one for one in parts.query.split("&") if one.partition("=")[0] in (*_KEPT, "db")]
    if parts.scheme == "unix":
        link = folder / "redis.sock"
        link.symlink_to(unquote(parts.path))
        return Tunnel(str(link), login + at, tuple(options))
    host = unquote(parts.hostname or "")
    if not _HOST.fullmatch(host):
        raise ConfigurationError(f"{config.redacted(url)}: ssh cannot be given this host name")
    database = parts.path.strip("/")
    if database and not any(one.startswith("db=") for one in options):
        options.append(f"db={database}")
    shown = f"[{host}]" if ":" in host else host
    return Tunnel(f"{shown}:{parts.port or DEFAULT_PORT}", login + at, tuple(options))
