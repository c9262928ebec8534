"""What the facts of an examination mean: pure judgements, each with what to do.

One function a subject; a subject that is in order gives one line that says so. Called by `simpledist doctor`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simpledist import __version__, config
from simpledist.cli.examination import Examination, KeyFile
from simpledist.cli.reading import in_trouble, named
from simpledist.config import Config
from simpledist.monitor import FunctionState, WorkerState

SLOW_SECONDS = 0.05
SKEW_SECONDS = 5.0
FULL = 0.9
WANTED_SECONDS = 600.0
TROUBLE_REMEDY = (
    "look at its log for what its child processes lack (a port, a lock, a module, processes or open files) and mend "
    "that; it tries again by itself, every 30 s at the latest"
)
UNDELIVERED_REMEDY = (
    "look for a limit of Redis (proto-max-bulk-len, client-output-buffer-limit), a right that its user lost "
    "(docs/acl.md) or a slow link; it offers its functions again by itself after a pause"
)
SHOWN = 5  # of a kind, by name


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: in order where there is nothing to do about it."""

    check: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        return not self.remedy


def judge(settings: Config, facts: Examination) -> list[Finding]:
    """Every subject that can be judged, in the order in which one would mend them."""
    findings = [*_redis(settings, facts), *_sentinels(facts), *_files(settings, facts)]
    if facts.snapshot.redis.ok:
        for check in _CHECKS:
            findings += check(facts)
    return findings


# --- Redis -------------------------------------------------------------------------------------------------------


def _redis(settings: Config, facts: Examination) -> Iterator[Finding]:
    redis = facts.snapshot.redis
    if redis.refused:
        yield Finding(
            "redis",
            f"Redis at {settings.safe_url} refuses us: {redis.error}",
            f"{redis.remedy}; until then calls run at their callers (redis_refused or redis_down)",
        )
    elif not redis.ok:
        yield Finding(
            "redis",
            f"Redis at {settings.safe_url} cannot be reached: {redis.error}",
            "start it, or correct --redis; until then every call runs at its caller (redis_down)",
        )
    else:
        yield Finding("redis", f"Redis {redis.version or '?'} at {settings.safe_url}")


def _sentinels(facts: Examination) -> Iterator[Finding]:
    named = sorted({primary for _, primary, _ in facts.sentinels if primary})
    for _, _, trouble in facts.sentinels:
        if trouble:
            yield Finding("sentinel", trouble, "mend it or take it out of --redis; the others are asked meanwhile")
    if len(named) > 1:
        yield Finding(
            "sentinel",
            f"Sentinels name different primaries: {_some(named)}",
            "look again once the failover has ended; if it stays so: redis-cli -p 26379 SENTINEL CKQUORUM SERVICE",
        )
    elif named:
        agree = sum(bool(primary) for _, primary, _ in facts.sentinels)
        yield Finding("sentinel", f"{agree} of {len(facts.sentinels)} name the primary at {named[0]}")


def _memory(facts: Examination) -> Iterator[Finding]:
    used, limit = (int(facts.info.get(name) or 0) for name in ("used_memory", "maxmemory"))
    policy = facts.info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Finding(
            "memory",
            f"maxmemory-policy is {policy}: a full Redis would throw jobs and results away",
            "redis-cli CONFIG SET maxmemory-policy noeviction (a full Redis then refuses new calls, which run at "
            "their callers)",
        )
    if limit and used > FULL * limit:
        yield Finding(
            "memory",
            f"{_megabytes(used)} of maxmemory {_megabytes(limit)} are used",
            "raise maxmemory, or see what fills it: simpledist jobs --state queued; max_queue= bounds a function",
        )
    elif policy == "noeviction":
        yield Finding("memory", f"{_megabytes(used)} used of {_megabytes(limit) if limit else 'no limit'}, {policy}")


def _persistence(facts: Examination) -> Iterator[Finding]:
    failing = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if facts.info.get(name, "ok") != "ok"
    ]
    if failing:
        yield Finding(
            "persistence",
            f"Redis cannot save to its disk ({', '.join(failing)}): by default it then refuses every write",
            "make room or mend the rights of its folder; or CONFIG SET save '': simpledist needs nothing on disk",
        )
    else:
        kept = (
            "an append-only file" if facts.info.get("aof_enabled") == "1" else "no append-only file, and none is needed"
        )
        yield Finding("persistence", f"{kept}: what a restart forgets, callers submit again")


def _latency(facts: Examination) -> Iterator[Finding]:
    seconds = facts.latency_seconds
    if seconds is not None and seconds > SLOW_SECONDS:
        yield Finding(
            "latency",
            f"a round trip to Redis takes {seconds * 1000:.0f} ms",
            "look for slow commands (redis-cli SLOWLOG GET), a busy machine or a long way; each call needs two of them",
        )
    elif seconds is not None:
        yield Finding("latency", f"a round trip to Redis takes {seconds * 1000:.2f} ms")


def _clock(facts: Examination) -> Iterator[Finding]:
    skew = facts.skew_seconds or 0.0
    if abs(skew) > SKEW_SECONDS:
        yield Finding(
            "clock",
            f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Redis'",
            "set both by NTP; calls are not harmed (Redis' clock counts alone), but times in logs will not fit",
        )
    else:
        yield Finding("clock", f"within {max(abs(skew), 0.01):.2f} s of Redis'")


def _rights(facts: Examination) -> Iterator[Finding]:
    if facts.snapshot.redis.error:
        yield Finding(
            "rights",
            f"user {facts.user or '?'} cannot read all: {facts.snapshot.redis.error}",
            facts.snapshot.redis.remedy,
        )
    for refusal in facts.refusals[:SHOWN]:
        yield Finding("rights", f"{refusal} (ACL LOG)", "give that user the rights of its role in docs/acl.md")
    if not facts.snapshot.redis.error and not facts.refusals:
        yield Finding("rights", f"user {facts.user or '?'} may read what it needs")


def _keys(facts: Examination) -> Iterator[Finding]:
    found = facts.leftovers
    if found is None:
        yield Finding("keys", f"not looked at: user {facts.user or '?'} may not SCAN")
        return
    if found.foreign:
        yield Finding(
            "keys",
            f"{len(found.foreign)} keys under our namespace are not ours: {_some(found.foreign)}",
            "whoever made them should use another prefix; delete them if nobody needs them",
        )
    if found.immortal:
        yield Finding(
            "keys",
            f"{len(found.immortal)} keys have lost their TTL and would stay for ever: {_some(found.immortal)}",
            "once no client waits for them, delete them with redis-cli DEL",
        )
    if not found.foreign and not found.immortal:
        yield Finding(
            "keys", f"{'all' if found.complete else 'the first'} {found.looked_at} keys are as they should be"
        )


# --- this machine ------------------------------------------------------------------------------------------------


def _files(settings: Config, facts: Examination) -> Iterator[Finding]:
    for name, file in (("key file", facts.key_file), ("token file", facts.token_file)):
        if file is not None:
            yield _file(name, file)
    if facts.key_file is None and not config.on_this_machine(settings.url):
        yield Finding(
            "secret",
            f"nothing is signed, and Redis at {settings.safe_url} is on another machine: whoever can write to it can "
            "run code on workers and clients",
            "make a key with simpledist secret FILE and give every process --secret-file FILE",
        )


def _file(name: str, file: KeyFile) -> Finding:
    if file.open_to_others:
        return Finding("secret", f"{name} {file.path} is open to other users of this machine", f"chmod 600 {file.path}")
    if file.trouble:
        return Finding("secret", f"{name} {file.path}: {file.trouble}", "make a new one with simpledist secret FILE")
    return Finding("secret", f"{name} {file.path} is readable by its owner alone")


# --- the cluster -------------------------------------------------------------------------------------------------


def _workers(facts: Examination) -> Iterator[Finding]:
    workers = facts.snapshot.workers
    gone = [one for one in workers if not one.live]
    for one in gone[:SHOWN]:
        yield Finding(
            "workers",
            f"worker {named(one)} is {one.health}"
            + ("" if one.beat_age_seconds is None else f", its last beat was {one.beat_age_seconds:.0f} s ago"),
            "start it again if it is missed; its jobs went back to their queues, and its line leaves after 10 minutes",
        )
    if len(gone) > SHOWN:
        yield Finding("workers", f"and {len(gone) - SHOWN} more are dead or silent", "simpledist workers lists them")
    others = [one for one in workers if one.live and one.simpledist not in ("", __version__)]
    if others:
        yield Finding(
            "workers",
            f"{len(others)} workers run another simpledist than {__version__}: "
            + _some([f"{named(one)} {one.simpledist}" for one in others]),
            "install the same version everywhere, workers first",
        )
    troubled = [one for one in workers if one.live and one.trouble]
    for one in troubled[:SHOWN]:
        yield Finding("workers", in_trouble(one), UNDELIVERED_REMEDY if one.undelivered else TROUBLE_REMEDY)
    if not gone and not others and not troubled:
        slots = sum(one.slots for one in workers)
        yield Finding(
            "workers", f"{len(workers)} live, {slots} slots" if workers else "none: calls run at their callers"
        )


def _queues(facts: Examination) -> Iterator[Finding]:
    functions = facts.snapshot.functions
    stranded = [one for one in functions if one.stranded]
    for one in stranded[:SHOWN]:
        yield Finding(
            "queues",
            f"{one.queued} jobs of {one.function} are queued and no live worker offers it",
            f"start one with simpledist-worker MODULE:{one.function}",
        )
    if not stranded:
        yield Finding("queues", f"{sum(one.queued for one in functions)} jobs queued, a worker for each")


def _versions(facts: Examination) -> Iterator[Finding]:
    """What is called against what is offered: the answer to most of "why does it run locally?"."""
    functions = facts.snapshot.functions
    wanted = [
        one
        for one in functions
        if one.wanted_seconds is not None and one.wanted_seconds < WANTED_SECONDS and not one.workers
    ]
    for one in wanted[:SHOWN]:
        yield _wanted(one, [other.function for other in functions if other.name == one.name and other.workers])
    if not wanted:
        yield Finding("versions", "what is called is offered")


def _wanted(function: FunctionState, offered: list[str]) -> Finding:
    ago = f"{function.wanted_seconds or 0.0:.0f} s ago"
    if offered:
        return Finding(
            "versions",
            f"{function.function} was called {ago} and ran at its caller: offered is {_some(offered)}",
            f"start a worker for {function.function}, or have its callers ask for {offered[0]} (version=)",
        )
    return Finding(
        "versions",
        f"{function.function} was called {ago} and ran at its caller: no live worker offers it",
        f"start one with simpledist-worker MODULE:{function.function}",
    )


def _protocols(facts: Examination) -> Iterator[Finding]:
    """Versions that speak different protocols never meet in a job."""
    workers: dict[int, list[WorkerState]] = {}
    for one in facts.snapshot.workers:
        if one.live:
            workers.setdefault(one.protocol or 1, []).append(one)
    numbers = sorted({*workers, *facts.protocols})
    if len(numbers) < 2:
        yield Finding("protocol", "clients and workers speak the same one")
        return
    told = [
        f"{number} by {_some([named(one) for one in workers.get(number, [])]) or 'no worker'}"
        f" and {facts.protocols.get(number, 0)} clients"
        for number in numbers
    ]
    yield Finding(
        "protocol",
        f"different protocols are spoken: {'; '.join(told)}",
        "install the same simpledist everywhere: those that differ never meet, and calls run at their callers",
    )


def _refusals(facts: Examination) -> Iterator[Finding]:
    """Workers that give jobs back unrun: each lacks something that others have."""
    live = [one for one in facts.snapshot.workers if one.live]
    refusing = [one for one in live if one.refusals]
    for one in refusing[:SHOWN]:
        first = one.refusals[0]
        withdrawn = f"; it offers {_some(one.withdrawn)} no more for a while" if one.withdrawn else ""
        yield Finding(
            "refusals",
            f"worker {named(one)} refuses jobs of {_some([told.function for told in one.refusals])}, "
            f"{sum(told.count for told in one.refusals)} so far ({first.why}: {first.error}){withdrawn}",
            "give it what it lacks (the module, the key), or stop it",
        )
    rings = {one.keys: f"{named(one)} {' '.join(one.keys)}" for one in live if one.keys}
    if len(rings) > 1:
        yield Finding(
            "refusals",
            f"workers hold different keys: {_some(list(rings.values()))}",
            "give every process the same --secret-file; a call is taken by workers that hold the key which signs it",
        )
    if not refusing and len(rings) < 2:
        yield Finding("refusals", "no worker gives jobs back")


def _code(facts: Examination) -> Iterator[Finding]:
    stale = [one for one in facts.snapshot.workers if one.live and one.mismatched]
    for one in stale[:SHOWN]:
        yield Finding(
            "code",
            f"a client holds other code than worker {named(one)} of: {_some(one.mismatched)}",
            "restart whichever is stale, or give the new code a version (MODULE:NAME@2 and version=2)",
        )
    if not stale:
        yield Finding("code", "clients and workers hold the same code, as far as it can be told")


def _random(facts: Examination) -> Iterator[Finding]:
    shared = [one for one in facts.snapshot.workers if one.live and one.generators]
    for one in shared[:SHOWN]:
        yield Finding(
            "random",
            f"every child of worker {named(one)} draws the same numbers from {_some(one.generators)}",
            "give the function a seed, and make its generator in it (docs/random.md)",
        )
    if not shared:
        yield Finding("random", "no children share a random generator")


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MB"


_CHECKS = (
    _memory,
    _persistence,
    _latency,
    _clock,
    _rights,
    _keys,
    _workers,
    _protocols,
    _refusals,
    _queues,
    _versions,
    _code,
    _random,
)
