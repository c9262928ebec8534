"""Jobs that wait or run at clients for want of a worker, summed by function from the rows of the clients. Pure.

A client says it with each nudge, about once a second. What it said longer ago counts for nothing: it is gone, or has
another Redis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from simpledist import policy
from simpledist.broker import client_demand
from simpledist.broker.client_demand import AtClient

COUNTS_SECONDS = policy.TIMINGS.silent_seconds


def jobs_at_clients(rows: Iterable[tuple[str, str]], now: float) -> tuple[Mapping[str, AtClient], int]:
    """Return what waits or runs at clients by function, and how many rows cannot be read; `now`: in Unix seconds."""
    found: defaultdict[str, list[AtClient]] = defaultdict(list)
    unreadable = 0
    for _, row in rows:
        client = client_demand.read(row)
        if client is None:
            unreadable += 1
        elif abs(now - client[0] / 1000) <= COUNTS_SECONDS:
            for function, one in client[1].items():
                found[function].append(one)
    return {function: together(ones) for function, ones in found.items()}, unreadable


def together(ones: Iterable[AtClient]) -> AtClient:
    """Return what is at several clients; the mean is that of their jobs."""
    all_of_them = list(ones)
    jobs = [(one.waiting + one.running, one.mean_ms) for one in all_of_them]
    known = [(number, mean) for number, mean in jobs if mean is not None and number]
    weight = sum(number for number, _ in known)
    return AtClient(
        waiting=sum(one.waiting for one in all_of_them),
        running=sum(one.running for one in all_of_them),
        mean_ms=sum(number * mean for number, mean in known) / weight if weight else None,
    )
