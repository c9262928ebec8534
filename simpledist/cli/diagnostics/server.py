"""Checks of Redis: the server, its memory and disk, the way to it, our rights, keys left behind."""

from __future__ import annotations

from collections.abc import Iterator

from simpledist.cli.diagnostics.facts import Facts
from simpledist.cli.diagnostics.finding import SHOWN, Check, Finding, some
from simpledist.config import Config
from simpledist.monitor.times import plural

SLOW_SECONDS = 0.05
SKEW_SECONDS = 5.0
FULL = 0.9


def reachable(settings: Config, facts: Facts) -> Iterator[Finding]:
    """Check that Redis answers and serves us."""
    redis = facts.snapshot.redis
    if redis.refused:
        yield Finding(
            "redis",
            f"Redis at {settings.safe_url} refuses us: {redis.error}",
            f"{redis.remedy}; until then calls run at their clients (redis_refused or redis_down)",
        )
    elif not redis.ok:
        yield Finding(
            "redis",
            f"Redis at {settings.safe_url} cannot be reached: {redis.error}",
            f"{redis.remedy}; until then every call runs at its client (redis_down)",
        )
    else:
        yield Finding("redis", f"Redis {redis.version or '?'} at {settings.safe_url}")


def sentinels(facts: Facts) -> Iterator[Finding]:
    """Check that all Sentinels name the same primary."""
    named = sorted({primary for _, primary, _ in facts.sentinels if primary})
    for _, _, trouble in facts.sentinels:
        if trouble:
            yield Finding("sentinel", trouble, "repair it or take it out of --redis; until then the others are asked")
    if len(named) > 1:
        yield Finding(
            "sentinel",
            f"Sentinels name different primaries: {some(named)}",
            "look again once the failover has ended; if it stays so: redis-cli -p 26379 SENTINEL CKQUORUM SERVICE",
        )
    elif named:
        agree = sum(bool(primary) for _, primary, _ in facts.sentinels)
        yield Finding("sentinel", f"{agree} of {len(facts.sentinels)} name the primary at {named[0]}")


def _memory(facts: Facts) -> Iterator[Finding]:
    used, limit = (int(facts.info.get(name) or 0) for name in ("used_memory", "maxmemory"))
    policy = facts.info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Finding(
            "memory",
            f"maxmemory-policy is {policy}: a full Redis throws jobs and results away",
            "redis-cli CONFIG SET maxmemory-policy noeviction (a full Redis then refuses new calls, which run at "
            "their clients)",
        )
    if limit and used > FULL * limit:
        yield Finding(
            "memory",
            f"{_megabytes(used)} of maxmemory {_megabytes(limit)} are used",
            "raise maxmemory, or see what fills it: simpledist jobs --state queued; max_queue= bounds a function",
        )
    elif policy == "noeviction":
        yield Finding("memory", f"{_megabytes(used)} used of {_megabytes(limit) if limit else 'no limit'}, {policy}")


def _persistence(facts: Facts) -> Iterator[Finding]:
    failing = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if facts.info.get(name, "ok") != "ok"
    ]
    if failing:
        yield Finding(
            "persistence",
            f"Redis cannot save to its disk ({', '.join(failing)}): by default it then refuses every write",
            "make room or correct the rights of its folder; or CONFIG SET save '': simpledist needs nothing on disk",
        )
    else:
        kept = (
            "an append-only file" if facts.info.get("aof_enabled") == "1" else "no append-only file, and none is needed"
        )
        yield Finding("persistence", f"{kept}: clients submit again what a restart forgets")


def _latency(facts: Facts) -> Iterator[Finding]:
    seconds = facts.latency_seconds
    if seconds is not None and seconds > SLOW_SECONDS:
        yield Finding(
            "latency",
            f"a round trip to Redis takes {seconds * 1000:.0f} ms",
            "look for slow commands (redis-cli SLOWLOG GET) or a busy or distant machine; a call takes two round trips",
        )
    elif seconds is not None:
        yield Finding("latency", f"a round trip to Redis takes {seconds * 1000:.2f} ms")


def _clock(facts: Facts) -> Iterator[Finding]:
    skew = facts.skew_seconds or 0.0
    if abs(skew) > SKEW_SECONDS:
        yield Finding(
            "clock",
            f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Redis'",
            "set both by NTP; calls are not harmed (only Redis' clock counts), but times in logs do not match",
        )
    else:
        yield Finding("clock", f"within {max(abs(skew), 0.01):.2f} s of Redis'")


def _rights(facts: Facts) -> Iterator[Finding]:
    if facts.snapshot.redis.error:
        yield Finding(
            "rights",
            f"user {facts.user or '?'} may not read everything: {facts.snapshot.redis.error}",
            facts.snapshot.redis.remedy,
        )
    for refusal in facts.refusals[:SHOWN]:
        yield Finding("rights", f"{refusal} (ACL LOG)", "give that user the rights of its role in docs/acl.md")
    if not facts.snapshot.redis.error and not facts.refusals:
        yield Finding("rights", f"user {facts.user or '?'} may read what it needs")


def _keys(facts: Facts) -> Iterator[Finding]:
    found = facts.leftovers
    if found is None:
        yield Finding("keys", f"not checked: user {facts.user or '?'} may not SCAN")
        return
    if found.foreign:
        yield Finding(
            "keys",
            f"{plural(len(found.foreign), 'key')} under our namespace not made by simpledist: {some(found.foreign)}",
            "give them another prefix in the program that makes them; delete them if no program needs them",
        )
    if found.immortal:
        yield Finding(
            "keys",
            f"{plural(len(found.immortal), 'key')} without TTL, which would stay for ever: {some(found.immortal)}",
            "once no client waits for them, delete them with redis-cli DEL",
        )
    if not found.foreign and not found.immortal:
        yield Finding(
            "keys", f"{'all' if found.complete else 'the first'} {found.looked_at} keys are as they should be"
        )


def _content(facts: Facts) -> Iterator[Finding]:
    """Check that what we read is what our processes write."""
    for one in facts.dropped[:SHOWN]:
        yield Finding("content", f"{one.text}: they are left out everywhere", one.remedy)
    if not facts.dropped:
        yield Finding("content", "everything that was read can be read")


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MB"


CHECKS: tuple[Check, ...] = (_memory, _persistence, _latency, _clock, _rights, _keys, _content)
