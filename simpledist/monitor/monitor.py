"""Reads the cluster's state from Redis in two round trips, at most once in a while however many ask.

Reads only keys with text, never a call or a result, and never writes. A Redis that is away gives a Snapshot that says
so, not an exception. Called by pages, metrics and `simpledist status`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from simpledist import config
from simpledist.broker import Keys, Link
from simpledist.errors import OperatorError, RedisRefused
from simpledist.monitor.rows import Facts, assembled, decoded, pairs, printable
from simpledist.monitor.snapshot import RedisState, Snapshot


class Monitor:
    """Takes snapshots through a Link of its own; any thread may ask, Redis is asked once in `keep_seconds`."""

    def __init__(self, link: Link, keys: Keys, *, keep_seconds: float = 0.0) -> None:
        self._link = link
        self._keys = keys
        self._keep_seconds = keep_seconds
        # Guards the link and the two below: whoever comes while another reads waits for the same snapshot.
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._taken = 0.0

    @classmethod
    def connect(cls, url: str | None = None, namespace: str | None = None, *, keep_seconds: float = 0.9) -> Monitor:
        """A monitor of the Redis at `url`, by default as `SIMPLEDIST_*` say; needs no key and does not connect yet."""
        settings = config.load(url, namespace=namespace, insecure=True)
        link = Link(settings.url, name="simpledist-monitor")
        return cls(link, Keys(settings.namespace), keep_seconds=keep_seconds)

    def close(self) -> None:
        with self._lock:
            self._link.close()

    def snapshot(self) -> Snapshot:
        """The state of the cluster, at most `keep_seconds` old. Never raises for what Redis does."""
        with self._lock:
            if self._snapshot is None or time.monotonic() - self._taken >= self._keep_seconds:
                self._snapshot = self._take()
                self._taken = time.monotonic()
            return self._snapshot

    def _take(self) -> Snapshot:
        try:
            if not self._link.connected:
                self._link.connect()
            return self._read()
        except OperatorError as error:
            return Snapshot(RedisState(ok=False, error=printable(str(error)), refused=isinstance(error, RedisRefused)))

    def _read(self) -> Snapshot:
        keys, errors = self._keys, list[str]()
        clock, names, rows, beats = self._ask(
            [("TIME",), ("SMEMBERS", keys.functions), ("HGETALL", keys.workers), ("HGETALL", keys.heartbeats)], errors
        )
        if clock is None:
            raise RedisRefused(errors[0])
        functions = sorted(decoded(name) for name in names or ())
        commands = [
            (command, keys.named(template, function), *rest)
            for function in functions
            for command, template, *rest in Facts.COMMANDS
        ]
        replies, width = self._ask(commands, errors), len(Facts.COMMANDS)
        facts = {name: Facts(*replies[width * i : width * (i + 1)]) for i, name in enumerate(functions)}
        redis = RedisState(ok=True, version=printable(self._link.version) or None, error=errors[0] if errors else "")
        return assembled(redis, int(clock[0]) + int(clock[1]) / 1e6, facts, pairs(rows), dict(pairs(beats)))

    def _ask(self, commands: Sequence[Sequence[str]], errors: list[str]) -> list[Any]:
        """Their replies; None, and a line in `errors`, for what we may not read or what is not of our type."""
        replies = self._link.pipeline(commands) if commands else []
        errors += [printable(str(reply)) for reply in replies if isinstance(reply, Exception)]
        return [None if isinstance(reply, Exception) else reply for reply in replies]
