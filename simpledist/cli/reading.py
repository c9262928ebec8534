"""Reading the cluster through the monitor, and the lines that several commands print of it.

Called by the commands that only look; the errors raised here become one line and an exit code in options.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from simpledist.broker import Link, denials, facts_of
from simpledist.broker.lane import named_tags
from simpledist.cli.options import complain
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.monitor import FunctionState, Monitor, RedisState, Snapshot, WorkerState
from simpledist.monitor.times import ago, plural

DROPPED_SHOWN = 5


@contextmanager
def monitor_of(config: Config) -> Generator[Monitor]:
    """Give a monitor of the Redis that the options name, for one command."""
    monitor = Monitor.connect(config.url, config.namespace)
    try:
        yield monitor
    finally:
        monitor.close()


def demand(config: Config, redis: RedisState) -> None:
    """Raise RedisDown or RedisRefused unless Redis answered.

    A missing answer must not look like an empty cluster, so commands call this before they print anything.
    """
    if redis.refused:
        raise RedisRefused(f"Redis at {config.safe_url} refuses us: {redis.error}; {redis.remedy}")
    if not redis.ok:
        raise RedisDown(f"Redis at {config.safe_url} cannot be reached: {redis.error}; {redis.remedy}")


def demand_all(config: Config, redis: RedisState) -> None:
    """Raise RedisRefused where a part of what was just printed could not be read."""
    if redis.error:
        raise RedisRefused(f"Redis at {config.safe_url} did not answer everything: {redis.error}; {redis.remedy}")


def tell_dropped(program: str, monitor: Monitor) -> None:
    """Say on stderr what was left out of the answers, and what to do about it."""
    for one in monitor.dropped()[:DROPPED_SHOWN]:
        complain(program, f"{one.text}, and were left out; {one.remedy}")


def demand_primary(link: Link) -> None:
    """Raise RedisRefused where the Redis behind a link is a replica, which may not know the newest jobs."""
    try:
        role = facts_of(link.call("INFO", "replication")).get("role", "master")
    except RedisRefused:
        return
    if role != "master":
        raise RedisRefused("READONLY replica")


def refusal_of(config: Config, error: RedisDown | RedisRefused) -> RedisDown | RedisRefused:
    """Return the error for a command that Redis did not take: RedisRefused where Redis answered at all."""
    text = str(error)
    if isinstance(error, RedisRefused) or denials.denial_in(text) is not None:
        return RedisRefused(f"Redis at {config.safe_url} refuses us: {denials.explained(text)}")
    return RedisDown(f"Redis at {config.safe_url} cannot be reached: {text}; {denials.START}")


def named(worker: WorkerState) -> str:
    """Return a worker as people find it: its id, label, host and process."""
    return f"{worker.id} ({worker.label} on {worker.host or '?'}, pid {worker.pid})"


def problem_lines(worker: WorkerState) -> list[str]:
    """Return one line for each problem of a worker, with its remedy."""
    return [f"worker {named(worker)} {one.text}: {one.remedy}" for one in worker.problems]


def without_worker(function: FunctionState) -> str:
    """Return what is wrong with a function whose jobs wait for a worker."""
    verb = "is" if function.queued == 1 else "are"
    return f"{plural(function.queued, 'job')} of {function.function} {verb} queued, but no live worker offers it"


def without_tags(function: FunctionState, tags: tuple[str, ...]) -> str:
    """Return what is wrong with a function, calls of which need tags that no live worker has."""
    when = ago(function.wanted_tags_seconds)
    return f"{function.function} was called {when}: no live worker that offers it has {named_tags(tags)} that it needs"


def with_tags(function: FunctionState, tags: tuple[str, ...]) -> str:
    """Return the command that starts a worker for such calls."""
    return function.start_command + "".join(f" --tag {tag}" for tag in tags)


def meant(word: str | None, known: Iterable[str]) -> str:
    """Return a question for a name that nothing has but that is close to one that something has, else ""."""
    names = {*known}
    if not word or word in names:
        return ""
    near = difflib.get_close_matches(word, sorted(names), n=1, cutoff=0.7)
    return f"there is no {word[:40]!r}: did you mean {near[0]}?" if near else ""


def function_names(snapshot: Snapshot) -> set[str]:
    """Return the names by which a person may ask for a function: with its version, and without."""
    return {name for one in snapshot.functions for name in (one.function, one.name)}
