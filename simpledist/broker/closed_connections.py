"""Closed connections: asks Redis which registered ones are gone, the fastest sign that a process has died.

Called by the distributor's duties and by nudging clients, who hand what they find to `reap`. Only rows of the run of
Redis that answers are judged. Where CLIENT LIST is refused, unknown or wrong (proxies, fakeredis), nothing is suspected
and heartbeats alone decide.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpledist.broker.link import Link
from simpledist.broker.records import Suspect
from simpledist.errors import RedisRefused


def among(link: Link, suspects: Sequence[Suspect]) -> list[Suspect]:
    """Return those of `suspects` (at most 1,000) whose connection is gone; [] where that is not known."""
    run_id, _, own = link.identity.partition(":")
    asked = [one for one in suspects if run_id and one.connection.partition(":")[0] == run_id]
    if not asked:
        return []
    ids = [one.connection.partition(":")[2] for one in asked]
    try:
        answer = link.call("CLIENT", "LIST", "ID", own, *ids)
    except RedisRefused:
        return []
    if not isinstance(answer, bytes):
        return []
    open_ids = {word[3:] for line in answer.decode("utf-8", "replace").splitlines() for word in line.split(" ")[:1]}
    if own not in open_ids:
        return []
    return [one for one, id in zip(asked, ids, strict=True) if id not in open_ids]
