"""/healthz and /readyz, for supervisors. Both answer without the token, with a word and nothing of the cluster.

A restart helps a process that hangs, but not one whose Redis is away: so /healthz does not look at Redis.
"""

from __future__ import annotations

from flask import Flask, Response

from simpledist.monitor import Monitor

OPEN = frozenset({"/healthz", "/readyz"})  # without a token


def add_to(app: Flask, monitor: Monitor) -> None:
    """Add the routes /healthz and /readyz."""

    def healthz() -> Response:
        return _word("ok", 200)

    def readyz() -> Response:
        redis = monitor.snapshot().redis
        if redis.ok:
            return _word("ok", 200)
        return _word("Redis refuses us" if redis.refused else "Redis is away", 503)

    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)


def _word(word: str, status: int) -> Response:
    return Response(f"{word}\n", status, mimetype="text/plain")
