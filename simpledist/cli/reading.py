"""How commands that only look ask the monitor, and what they say where it cannot tell.

Called by the commands that print what is there; the errors raised become one line and an exit code in options.py.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from simpledist.broker import Link, facts_of, refusals
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.monitor import Monitor, RedisState, WorkerState


@contextmanager
def monitor_of(config: Config) -> Generator[Monitor]:
    """A monitor of the Redis that the options name, for one command."""
    monitor = Monitor.connect(config.url, config.namespace)
    try:
        yield monitor
    finally:
        monitor.close()


def demand(config: Config, redis: RedisState) -> None:
    """Raise RedisDown or RedisRefused unless Redis answered. An answer that is missing must not look like an empty one:
    ask it before anything is printed."""
    if redis.refused:
        raise RedisRefused(f"Redis at {config.safe_url} refuses us: {redis.error}; {redis.remedy}")
    if not redis.ok:
        raise RedisDown(f"Redis at {config.safe_url} cannot be reached: {redis.error}; {redis.remedy}")


def demand_all(config: Config, redis: RedisState) -> None:
    """Raise RedisRefused where a part of what was just printed could not be read."""
    if redis.error:
        raise RedisRefused(
            f"not all that stands in Redis at {config.safe_url} could be read: {redis.error}; {redis.remedy}"
        )


def demand_primary(link: Link) -> None:
    """Raise RedisRefused where the Redis behind a link is a replica: it would say that there is no such job."""
    try:
        role = facts_of(link.call("INFO", "replication")).get("role", "master")
    except RedisRefused:
        return
    if role != "master":
        raise RedisRefused("READONLY replica")


def refusal_of(config: Config, error: RedisDown | RedisRefused) -> RedisDown | RedisRefused:
    """Return what a command says where Redis did not take its command: RedisRefused where it answered at all."""
    text = str(error)
    if isinstance(error, RedisRefused) or refusals.refusal_in(text) is not None:
        return RedisRefused(f"Redis at {config.safe_url} refuses us: {refusals.told(text)}")
    return RedisDown(f"Redis at {config.safe_url} cannot be reached: {text}; start it, or correct --redis")


def named(worker: WorkerState) -> str:
    """A worker, as people find it: its id, label, host and process."""
    return f"{worker.id} ({worker.label} on {worker.host or '?'}, pid {worker.pid})"


def in_trouble(worker: WorkerState) -> str:
    """Return which worker cannot start its children or reach Redis with a command, and why."""
    return f"worker {named(worker)}: {worker.trouble}"
