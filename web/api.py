"""The JSON that scripts and our own pages read; docs/api.md describes each field. A schema only gains fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import Flask, Response

from simpledist.monitor import Monitor, Snapshot, WorkerState
from simpledist.monitor.looks import Looks

from .human import clip

SCHEMA = 1
TRACKS_MOST = 256


def add_to(app: Flask, monitor: Monitor, looks: Looks) -> None:
    """Add the routes under /api that show the cluster."""

    def route(path: str, build: Callable[[Snapshot], dict[str, Any]]) -> None:
        kept = _Kept()

        def answer() -> tuple[Response, int]:
            now = monitor.snapshot()
            body = kept.of(now, build)
            return Response(body, mimetype="application/json"), 200 if monitor.redis().ok else 503

        app.add_url_rule(path, path, answer)

    route("/api/snapshot.json", lambda now: snapshot(now, monitor))
    route("/api/stream.json", lambda now: stream(now, monitor, looks))


class _Kept:
    """The text of the last answer: made once for each snapshot, however many browsers ask."""

    def __init__(self) -> None:
        self._made: tuple[Snapshot, str] | None = None

    def of(self, now: Snapshot, build: Callable[[Snapshot], dict[str, Any]]) -> str:
        made = self._made
        if made is None or made[0] is not now:
            made = self._made = (now, json.dumps(build(now), separators=(",", ":")))
        return made[1]


def snapshot(now: Snapshot, monitor: Monitor) -> dict[str, Any]:
    """Return the state of the cluster: what `simpledist status --json` prints, and more."""
    answer = now.as_status()
    answer["redis"] |= {"error": now.redis.error, "remedy": now.redis.remedy, "evicts": now.redis.evicts or None}
    for row, state in zip(answer["functions"], now.functions, strict=True):
        tally = state.tally
        row |= {
            "function": state.function,
            "submitted": tally["submitted"],
            "returned": tally.returned,
            "raised": tally.raised,
            "local": tally.local,
        }
    by_id = {one.id: one for one in now.workers}
    for row in answer["workers"]:
        worker = by_id[row["id"]]
        row |= {"health": worker.health, "draining": worker.draining, "memory_bytes": worker.stats.memory_bytes}
        row |= {"trouble": worker.trouble, "condition": worker.condition}
        row |= {"problems": [{"text": one.text, "remedy": one.remedy} for one in worker.problems]}
        row |= {"jobs_done": worker.stats.jobs_done, "python": worker.python}
        row |= {"slot_memory_bytes": worker.memory_bytes, "peak_bytes": worker.stats.peak_bytes}
    answer["time"] = now.time
    answer["dropped"] = [{"key": one.key, "why": one.why, "count": one.count} for one in monitor.dropped()]
    answer["running"] = [asdict(one) for one in now.running]
    return answer


def stream(now: Snapshot, monitor: Monitor, looks: Looks) -> dict[str, Any]:
    """Return the attempts of the last minute on their tracks, one a slot, as the Now page draws them."""
    attempts = [one for one in monitor.stream() if one.worker is not None and one.claimed is not None]
    tracks: dict[tuple[str, int], int] = {}
    workers = [one for one in now.workers if one.live]
    for worker in workers:
        for slot in range(min(worker.slots, TRACKS_MOST - len(tracks))):
            tracks.setdefault((worker.id, slot), len(tracks))
    gone = {one.id: one for one in now.workers if not one.live}
    # Workers that have left keep the tracks of their jobs.
    seen = {(one.worker or "", one.slot or 0) for one in attempts} | {
        (one.worker, one.slot or 0) for one in now.running
    }
    for track in sorted(seen):
        if track not in tracks and len(tracks) < TRACKS_MOST:
            tracks[track] = len(tracks)
    known = {one.id: one for one in workers} | gone
    functions = sorted({one.function for one in attempts} | {one.function for one in now.running})
    looks.see(functions)
    place = {name: i for i, name in enumerate(functions)}
    bars = [
        [
            tracks[track],
            place[one.function],
            one.id,
            round(one.claimed or 0, 3),
            round(one.ended, 3),
            one.state,
            one.attempt,
        ]
        for one in attempts
        if (track := (one.worker or "", one.slot or 0)) in tracks
    ]
    bars += [
        [tracks[track], place[one.function], one.id, round(now.time - one.seconds, 3), None, "running", one.attempt]
        for one in now.running
        if (track := (one.worker, one.slot or 0)) in tracks
    ]
    return {
        "schema": SCHEMA,
        "ok": monitor.redis().ok,
        "time": now.time,
        "functions": [_function(name, looks) for name in functions],
        "tracks": [_track(known.get(worker), worker, slot) for worker, slot in tracks],
        "tracks_left_out": max(0, sum(one.slots for one in workers) - TRACKS_MOST),
        "bars": bars,
    }


def _function(name: str, looks: Looks) -> dict[str, Any]:
    look = looks.of(name)
    return {
        "name": clip(name),
        "function": name,
        "colour": None if look is None else look.colour,
        "pattern": None if look is None else look.pattern,
    }


def _track(worker: WorkerState | None, id: str, slot: int) -> list[Any]:
    """Return worker id, label, slot, and whether it lives."""
    return [id, clip(worker.label if worker else id, 32), slot, bool(worker and worker.live)]
