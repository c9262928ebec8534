"""Settings that every role shares: where Redis is, which namespace is ours, which keys we hold.

Built at the edge (`connect`, command lines) from arguments, then `SIMPLEDIST_*`. Nothing reads the environment at
import. Raises ConfigurationError for whatever needs no network to be seen.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from simpledist.config import sentinel_url, url_options
from simpledist.errors import ConfigurationError
from simpledist.job import DEFAULT_NAMESPACE

DEFAULT_URL = "redis://localhost:6379/0"
MEMORY_URL = "memory://"
SCHEMES = ("redis", "rediss", "unix", "memory")
NAMESPACE = re.compile(r"(\{[A-Za-z0-9_.:-]{1,64}\}|[A-Za-z0-9_.-]{1,64})")
NESTED_VARIABLE = "SIMPLEDIST_NESTED"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OPTION = re.compile(r"(?<=[?&])([^=&?#]*)=[^&]*")


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one process; `url` may hold a password: show `safe_url` instead."""

    url: str = DEFAULT_URL
    namespace: str = DEFAULT_NAMESPACE
    secret_file: str | None = None
    insecure: bool = False
    # No key is named, so the user's own signs: Redis has to be on this machine, also a primary that Sentinels name, and
    # a Unix socket must not be another user's.
    stays_here: bool = False
    named: bool = field(default=False, compare=False)  # a URL was given, as an argument or by the environment

    @property
    def safe_url(self) -> str:
        return redacted(self.url)


def load(
    url: str | None = None,
    *,
    namespace: str | None = None,
    secret_file: str | None = None,
    insecure: bool = False,
    codec: str = "pickle",
    memory: bool = False,
    signs: bool = True,
) -> Config:
    """Return the settings from arguments, else from the environment, else the defaults.

    `memory`: whether memory:// is allowed, which only a client can use, because no other process sees it.
    `signs`: False for a process that decodes no call and no result, and so needs no key.

    Raises ConfigurationError: unusable URL or namespace, or pickle without a key while Redis is not on this machine
    (anyone who can write to Redis could run code here).
    """
    environment = os.environ
    named = url or environment.get("SIMPLEDIST_REDIS_URL")
    url = (named or DEFAULT_URL).strip()
    namespace = namespace or environment.get("SIMPLEDIST_NAMESPACE") or DEFAULT_NAMESPACE
    secret_file = secret_file or environment.get("SIMPLEDIST_SECRET_FILE") or None
    check_url(url)
    if url == MEMORY_URL and not memory:
        raise ConfigurationError(
            "memory:// lives inside one program, for its unit tests: only connect() can use it; "
            "write redis://localhost:6379/0"
        )
    if not NAMESPACE.fullmatch(namespace):
        raise ConfigurationError(
            f"namespace {namespace!r}: use letters, digits, '_', '.' and '-', if need be all in one pair of braces"
        )
    unnamed = signs and not secret_file and not insecure
    stays_here = unnamed and url != MEMORY_URL and on_this_machine(url)
    if unnamed and codec == "pickle" and not on_this_machine(url):
        raise ConfigurationError(
            f"Redis at {redacted(url)} is not on this machine and no key is set: anyone who can write to it could run "
            "code here. Make a key with `simpledist secret FILE` and give every process --secret-file FILE "
            "(SIMPLEDIST_SECRET_FILE), or say --insecure (insecure=True)"
        )
    return Config(
        url=url,
        namespace=namespace,
        secret_file=secret_file,
        insecure=insecure,
        stays_here=stays_here,
        named=bool(named),
    )


def check_url(url: str) -> None:
    """Raise ConfigurationError unless `url` is of one of SCHEMES, or names Sentinels, with usable parts."""
    if sentinel_url.names_sentinels(url):
        try:
            parsed = sentinel_url.parse(url)
            url_options.check(url.partition("?")[2], tls=parsed.scheme == "rediss", sentinel=True)
        except ConfigurationError as error:
            raise ConfigurationError(f"Redis URL {redacted(url)!r}: {error}") from None
        return
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        # The error's own text may quote a part of a password.
        raise ConfigurationError(
            f"Redis URL {redacted(url)!r}: its host or port cannot be read; write redis://localhost:6379/0, "
            "and quote what is odd in a password (%2F for /)"
        ) from None
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(
            f"Redis URL {redacted(url)!r}: begin it with redis://, rediss://, unix:// or redis+sentinel://, "
            "for example redis://localhost:6379/0"
        )
    if parts.scheme == "memory":
        if url != MEMORY_URL:
            raise ConfigurationError(f"Redis URL {redacted(url)!r}: memory:// has no parts; write {MEMORY_URL}")
    elif parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ConfigurationError("Redis URL 'unix://' names no socket: write unix:///path/to/redis.sock")
    elif not parts.hostname:
        raise ConfigurationError(f"Redis URL {redacted(url)!r} names no host: write redis://localhost:6379/0")
    else:
        database = parts.path.strip("/")
        if database and not (database.isascii() and database.isdecimal()):
            raise ConfigurationError(f"Redis URL {redacted(url)!r}: the database after the last '/' is a number")
    if parts.fragment:
        raise ConfigurationError(f"Redis URL {redacted(url)!r}: a '#' in a path or password is written %23")
    try:
        url_options.check(parts.query, tls=parts.scheme == "rediss", sentinel=False)
    except ConfigurationError as error:
        raise ConfigurationError(f"Redis URL {redacted(url)!r}: {error}") from None


def on_this_machine(url: str) -> bool:
    """Return whether `url` is a Unix socket, a loopback address, or this very process."""
    if sentinel_url.names_sentinels(url):
        return all(_loopback(host) for host in sentinel_url.parse(url).hosts)
    parts = urlsplit(url)
    if parts.scheme in ("unix", "memory"):
        return True
    return _loopback(parts.hostname or "")


def _loopback(host: str) -> bool:
    host = unquote(host).rstrip(".").lower()
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def redacted(url: str) -> str:
    """`url` without its passwords, fit for logs and pages; works on the text, for what is mistyped is no URL."""
    url = _OPTION.sub(lambda option: f"{option[1]}=***" if "password" in unquote(option[1]).lower() else option[0], url)
    credentials, at, place = url.rpartition("@")
    scheme = _SCHEME.match(credentials)
    begin = scheme.end() if scheme else 0
    user, colon, _ = credentials[begin:].partition(":")
    return f"{credentials[:begin]}{user}:***@{place}" if at and colon else url


def nested() -> bool:
    """Return whether this process is a worker's child (or a child of one): `connect()` opens nothing there."""
    return bool(os.environ.get(NESTED_VARIABLE))
