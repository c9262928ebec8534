"""URLs that name Sentinels instead of Redis: redis+sentinel://host:port,host:port/service[/db][?options].

Owns their grammar, which is that of docket and prefect, and what follows from one: the URL of each Sentinel and, once
they have said where it is, that of the primary. Opens nothing; config.py checks by it, the broker asks by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from simpledist.errors import ConfigurationError

SENTINEL_PORT = 26379
EXAMPLE = "redis+sentinel://host1:26379,host2:26379/mymaster"

_SCHEME = re.compile(r"(rediss?)\+sentinel://", re.IGNORECASE)
_NODE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:,@\s]+)(?::(?P<port>[0-9]+))?")
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")
_SENTINELS_OWN = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What such a URL says. Values are still quoted as in a URL: others are made of them."""

    scheme: str  # redis or rediss: with TLS to Redis and Sentinels alike
    credentials: str  # of Redis, "user:password@" or ""
    nodes: tuple[tuple[str, int], ...]
    service: str
    database: str
    options: tuple[tuple[str, str], ...]

    @property
    def hosts(self) -> list[str]:
        return [host.strip("[]") for host, _ in self.nodes]

    def sentinels(self) -> list[tuple[str, str]]:
        """(host:port, URL) of each Sentinel; they have users of their own, and the TLS files of Redis."""
        named = dict(self.options)
        user, password = (named.get(name, "") for name in _SENTINELS_OWN)
        credentials = f"{user}:{password}@" if user or password else ""
        query = _query([option for option in self.options if option[0].startswith("ssl_")])
        places = [f"{host}:{port}" for host, port in self.nodes]
        return [(place, f"{self.scheme}://{credentials}{place}/{query}") for place in places]

    def primary(self, host: str, port: int) -> str:
        """Return the URL of the Redis that Sentinel names as the primary."""
        place = f"[{host}]" if ":" in host else host
        query = _query([option for option in self.options if option[0] not in _SENTINELS_OWN])
        return f"{self.scheme}://{self.credentials}{place}:{port}/{self.database}{query}"


def names_sentinels(url: str) -> bool:
    return bool(_SCHEME.match(url))


def parse(url: str) -> SentinelUrl:
    """Raises ConfigurationError, whose text quotes nothing of the URL (a password may stand anywhere)."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise ConfigurationError(f"begin it with redis+sentinel://, for example {EXAMPLE}")
    place, _, query = url[scheme.end() :].partition("?")
    authority, _, path = place.partition("/")
    credentials, at, listed = authority.rpartition("@")
    service, _, database = path.rstrip("/").partition("/")
    if not listed:
        raise ConfigurationError(f"it names no Sentinel; write {EXAMPLE}")
    nodes = tuple(_node(node) for node in listed.split(","))
    if not service:
        raise ConfigurationError(
            f"it names no service: what `sentinel monitor` calls the primary, as mymaster in {EXAMPLE}"
        )
    if not _SERVICE.fullmatch(service):
        raise ConfigurationError("the service's name has letters, digits, '.', '-' and '_' only")
    if database and not database.isdigit():
        raise ConfigurationError("the database after the service is a number")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return SentinelUrl(
        scheme=scheme[1].lower(),
        credentials=credentials + at,
        nodes=nodes,
        service=service,
        database=database or "0",
        options=tuple((name, value) for name, _, value in pairs),
    )


def _node(text: str) -> tuple[str, int]:
    found = _NODE.fullmatch(text)
    port = int(found["port"] or SENTINEL_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise ConfigurationError(
            f"a Sentinel's host or port cannot be read; write {EXAMPLE}, "
            "and quote what is odd in a password (%2F for /)"
        )
    return found["host"], port


def _query(options: list[tuple[str, str]]) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in options) if options else ""
