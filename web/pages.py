"""The routes of the pages: each reads its values from the monitor and passes them to its template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, abort, render_template, request
from werkzeug.exceptions import NotFound

from simpledist.monitor import Attempt, FunctionState, Measure, Monitor, Snapshot, Tally
from simpledist.monitor.looks import Looks
from simpledist.monitor.measures import added

from . import charts

PAGE = 100
LISTED = 12
CHECKED_ARGUMENTS = 200  # characters of a filter that count


def add_to(app: Flask, monitor: Monitor, looks: Looks) -> None:
    """Add the routes of all pages."""

    def page(route: str, name: str) -> Callable[[Callable[..., dict[str, Any]]], None]:
        def add(values_of: Callable[..., dict[str, Any]]) -> None:
            def view(**named: str) -> tuple[str, int]:
                now = monitor.snapshot()
                looks.see(one.function for one in now.functions if one.present)
                # Our script asks for what is inside <main> alone.
                outer = "part.html" if request.args.get("part") == "1" else "page.html"
                if not now.redis.ok:
                    return render_template(outer, inner="away.html", name=name, now=now), 503
                labels = {one.id: one.label for one in now.workers}
                values, missing = {}, None
                try:
                    values = values_of(now, **named)
                except NotFound as error:
                    missing = error
                # What Redis refused of these values is empty, and must not look like an empty cluster.
                if not (redis := monitor.redis()).ok:
                    return render_template(outer, inner="away.html", name=name, now=Snapshot(redis)), 503
                if missing is not None:
                    raise missing
                return render_template(
                    outer, inner=f"{name}.html", name=name, now=now, labels=labels, dropped=monitor.dropped(), **values
                ), 200

            app.add_url_rule(route, name, view)

        return add

    @page("/", "now")
    def now_page(now: Snapshot) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        values = _now(now, monitor)
        looks.see(values["legend"])
        return values

    @page("/functions", "functions")
    def functions_page(now: Snapshot) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        shown, pages = _page_of(sorted(now.functions, key=_busiest_first))
        measures = monitor.measures(one.function for one in shown)
        return {
            "rows": [(one, measures.get(one.function), _split(one, measures.get(one.function))) for one in shown],
            "pages": pages,
            "offered": _versions(now),
        }

    @page("/functions/<name>", "function")
    def function_page(now: Snapshot, name: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        function = now.function(name) or abort(404)
        measure = monitor.measures([name]).get(name)
        hour, day = monitor.series(name), monitor.day(name)
        return {
            "function": function,
            "measure": measure,
            "split": _split(function, measure),
            "calls_hour": charts.calls(hour),
            "queue_hour": charts.queue(hour),
            "calls_day": charts.calls(day),
            "queue_day": charts.queue(day),
            "runs": charts.histogram(measure.run) if measure else None,
            "failures": monitor.failures(name)[:LISTED],
            "recent": monitor.recent(name, 25),
            "workers": [one for one in now.workers if one.live and name in one.functions][:LISTED],
            "lacking": now.lacking(function),
            "withdrawn": [one for one in now.workers if one.live and name in one.withdrawn][:LISTED],
            "offered": _versions(now),
        }

    @page("/workers", "workers")
    def workers_page(now: Snapshot) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        shown, pages = _page_of(now.workers)
        return {"workers": shown, "pages": pages}

    @page("/workers/<id>", "worker")
    def worker_page(now: Snapshot, id: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        worker = now.worker(id) or abort(404)
        recent = [one for name in worker.functions[:20] for one in monitor.recent(name) if one.worker == id]
        return {
            "worker": worker,
            "running": now.running_on(id),
            "recent": sorted(recent, key=lambda one: -one.ended)[:25],
        }

    @page("/jobs", "jobs")
    def jobs_page(now: Snapshot) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return _jobs(now, monitor)

    @page("/jobs/<id>", "job")
    def job_page(now: Snapshot, id: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        function = _argument("function")
        job = monitor.job(id, function if function and now.function(function) else None) or abort(404)
        return {"job": job}

    @page("/errors", "errors")
    def errors_page(now: Snapshot) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        shown, pages = _page_of(monitor.failures())
        return {"failures": shown, "pages": pages}


# --- the values of each page -----------------------------------------------------------------------------------------


def _now(now: Snapshot, monitor: Monitor) -> dict[str, Any]:
    bins, pulses = monitor.hour()
    hour = Tally({})
    if bins:
        hour = added(one.tally for one in bins)
    live = [one for one in now.workers if one.live]
    slots, busy = sum(one.slots for one in live), sum(one.busy for one in live)
    waits = [one.oldest_wait_seconds for one in now.functions if one.queued]
    rate = (bins[-1].tally.ended + bins[-2].tally.ended * (1 - now.time % 60 / 60)) / 60 if len(bins) > 1 else 0.0
    recent = monitor.stream()
    return {
        "tiles": {
            "running": (
                sum(one.running for one in now.functions),
                charts.spark([b.tally["max_running"] for b in bins]),
            ),
            "queued": (sum(one.queued for one in now.functions), charts.spark([b.tally["max_queued"] for b in bins])),
            "wait": (max(waits, default=0.0), charts.spark([b.tally["max_wait_ms"] for b in bins])),
            "rate": (rate, charts.spark([b.tally.ended for b in bins])),
            "slots": ((busy, slots), charts.spark([one.busy for one in pulses])),
            "workers": (len(live), charts.spark([one.workers for one in pulses])),
        },
        "stranded": [one for one in now.functions if one.stranded],
        "late": [one for one in now.workers if one.health in ("late", "silent")],
        "troubled": sorted((one for one in now.workers if one.problems), key=lambda one: not one.bad),
        "hour": hour,
        "local": list(hour.local.items()),
        "where": charts.shares(_parts(hour)),
        "running": now.running[:LISTED],
        "recent": tuple(reversed(recent[-LISTED:])),
        "legend": _legend(now, recent),
    }


def _jobs(now: Snapshot, monitor: Monitor) -> dict[str, Any]:
    function, worker, state = _argument("function"), _argument("worker"), _argument("state")
    known = now.function(function) is not None
    chosen = state if state in ("running", "queued", "ended") else "running"
    rows: Sequence[Any] = ()
    first = (_number("page") - 1) * PAGE
    if chosen == "running":
        found = [one for one in now.running if function in ("", one.function) and worker in ("", one.worker)]
        rows, total = found[first : first + PAGE], len(found)
    elif chosen == "queued":
        total = sum(one.queued for one in now.functions if function in ("", one.function))
        rows = monitor.queued(function or None, first=first) if known or not function else ()
    else:
        names = [function] if known else [one.function for one in now.functions[:20]] if not function else []
        ended = [one for name in names for one in monitor.recent(name, 500) if worker in ("", one.worker)]
        ended.sort(key=lambda one: -one.ended)
        rows, total = ended[first : first + PAGE], len(ended)
    return {
        "rows": rows,
        "state": chosen,
        "function": function,
        "worker": worker,
        "total": total,
        "pages": _pages(total),
        "counts": {
            "running": sum(one.running for one in now.functions),
            "queued": sum(one.queued for one in now.functions),
        },
        "names": [one.function for one in now.functions],
    }


def _split(function: FunctionState, measure: Measure | None) -> dict[str, Any]:
    """Return where its calls of the last hour ran, and how they ended."""
    tally = measure.hour if measure else Tally({})
    return {"bars": charts.shares(_parts(tally)), "parts": [one for one in _parts(tally) if one[1]], "tally": tally}


def _parts(tally: Tally) -> list[tuple[str, int]]:
    return [("succeeded", tally.returned), ("local", sum(tally.local.values())), ("failed", tally.raised)]


def _versions(now: Snapshot) -> dict[str, list[FunctionState]]:
    """Return name -> its versions that live workers offer."""
    found: dict[str, list[FunctionState]] = {}
    for one in now.functions:
        if one.workers:
            found.setdefault(one.name, []).append(one)
    return found


def _legend(now: Snapshot, recent: Sequence[Attempt]) -> list[str]:
    names = {one.function for one in recent} | {one.function for one in now.running}
    return sorted(names)[:24]


def _busiest_first(function: FunctionState) -> tuple[bool, bool, int, str]:
    busy = function.running + function.queued
    return (not function.stranded, not function.present, -busy, function.function)


# --- the arguments of a request --------------------------------------------------------------------------------------


def _argument(name: str) -> str:
    return request.args.get(name, "")[:CHECKED_ARGUMENTS]


def _number(name: str) -> int:
    text = request.args.get(name, "1")
    return min(max(int(text), 1), 100_000) if text.isdecimal() and len(text) < 7 else 1


def _page_of(rows: Sequence[Any]) -> tuple[Sequence[Any], dict[str, int]]:
    pages = _pages(len(rows))
    first = (pages["page"] - 1) * PAGE
    return rows[first : first + PAGE], pages


def _pages(total: int) -> dict[str, int]:
    return {"page": _number("page"), "pages": max(1, -(-total // PAGE)), "total": total}
