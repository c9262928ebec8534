"""Reads the rows of workers as they registered them. It is no verb: it changes nothing.

Called by clients and command lines that may not read all that the monitor reads.
"""

from __future__ import annotations

from typing import Any

from simpledist.broker.broker import Broker
from simpledist.broker.parsing import parse_live, parse_object, parse_texts


def live_workers(broker: Broker) -> list[dict[str, Any]]:
    """Return the rows of the workers with a fresh heartbeat, as they registered them."""
    return parse_live(*read_workers(broker))


def read_workers(broker: Broker) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return Redis' time, the rows of all workers, and their heartbeats, as they came."""
    link, keys = broker.link, broker.keys
    clock, rows, beats = link.pipeline([("TIME",), ("HGETALL", keys.workers), ("HGETALL", keys.heartbeats)])
    for reply in (clock, rows, beats):
        if isinstance(reply, Exception):
            raise reply
    return clock, rows, beats


def about_worker(broker: Broker, worker: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the row of a worker and the parts of the code that it has loaded; empty where it is not known."""
    link, keys = broker.link, broker.keys
    row, code = link.pipeline([("HGET", keys.workers, worker), ("HGETALL", keys.code(worker))])
    for reply in (row, code):
        if isinstance(reply, Exception):
            raise reply
    parts = parse_texts(code)
    return parse_object(row or b"{}"), dict(zip(parts[::2], parts[1::2], strict=True))


def rows_of(broker: Broker, workers: list[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of those of these workers that Redis knows."""
    rows: list[bytes | None] = broker.link.call("HMGET", broker.keys.workers, *workers) if workers else []
    return {id: parse_object(row) for id, row in zip(workers, rows, strict=True) if row is not None}
