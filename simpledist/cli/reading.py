"""How commands that only look ask the monitor, and what they say where it cannot tell.

Called by the commands that print what is there; the errors raised become one line and an exit code in options.py.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.monitor import Monitor, RedisState, Snapshot


@contextmanager
def monitor_of(config: Config) -> Generator[Monitor]:
    """A monitor of the Redis that the options name, for one command."""
    monitor = Monitor.connect(config.url, config.namespace)
    try:
        yield monitor
    finally:
        monitor.close()


def read(config: Config) -> Snapshot:
    """What stands in Redis now. Raises RedisDown or RedisRefused with a line that says where."""
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
    demand(config, snapshot.redis)
    return snapshot


def demand(config: Config, redis: RedisState) -> None:
    """Raise RedisDown or RedisRefused unless Redis answered."""
    if redis.refused:
        raise RedisRefused(f"Redis at {config.safe_url} refuses us: {redis.error}")
    if not redis.ok:
        raise RedisDown(f"Redis at {config.safe_url} cannot be reached: {redis.error}")
