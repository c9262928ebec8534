"""`simpledist explain NAME | ID`: what becomes of the calls of a function, or of one job, and why."""

from __future__ import annotations

import itertools
from typing import Any

import click

from simpledist import policy
from simpledist.broker.lane import named_tags
from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.cli.reading import demand, demand_all, function_names, meant, monitor_of
from simpledist.cli.tables import json_option, show_json
from simpledist.config import Config
from simpledist.job import ANY
from simpledist.monitor import FunctionState, JobState, Monitor, Snapshot
from simpledist.monitor.times import ago, duration, plural
from simpledist.reasons import REASONS, sentence

PAGE, PAGES = 1000, 100  # of the queue, in which the place of a job is looked for


@click.command()
@click.argument("what", metavar="NAME | ID")
@json_option
@common_options
def explain(config: Config, what: str, as_json: bool) -> int:
    """Explain what becomes of the calls of the function NAME (fib: all its versions; fib@3), or of the job ID.

    Of a function: whether its calls run on workers, or why at their callers; what is queued and runs; each worker
    that offers it, with its slots, Python, code and tags; and when a call that is made now would begin. Calls that
    bring their function to a worker with --any are counted as simpledist.any@3.11, under no name of their own. Of a
    job: its place in the queue and when it is likely to begin, or where it runs, or how it ended. Estimates go by the
    mean run of the last hour. Whether one caller's calls travel depends on its key and its code too: future.info says
    that.

    \b
    Examples:
        simpledist explain fib
        simpledist explain 6f1c0d9be-17 --json | jq .job.place
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
        demand(config, snapshot.redis)
        functions = [one for one in snapshot.functions if what in (one.function, one.name)]
        about = [_function(monitor, snapshot, one) for one in functions]
        known = None if functions else monitor.job(what)
        job = None if known is None else _job(monitor, snapshot, known)
        redis = monitor.redis()
    demand(config, redis)
    if not functions and job is None:
        question = meant(what, function_names(snapshot)) or f"no function and no job is known as {what[:40]!r}"
        travelling = snapshot.any_functions
        hint = f"; calls that bring their function are counted as {' and '.join(travelling)}" if travelling else ""
        complain("simpledist explain", question + hint)
        return WRONG
    if as_json:
        show_json(functions=about, job=job)
    else:
        lines = itertools.chain(*map(_lines_of_function, about)) if job is None else _lines_of_job(job)
        click.echo("\n".join(lines))
    demand_all(config, redis)
    return OK


def _function(monitor: Monitor, snapshot: Snapshot, function: FunctionState) -> dict[str, Any]:
    """Return what is known of a function, as --json prints it."""
    live = {one.id: one for one in snapshot.workers if one.live and not one.draining}
    workers: list[dict[str, Any]] = [
        {
            "worker": one.worker,
            "label": live[one.worker].label,
            "host": live[one.worker].host,
            "slots": live[one.worker].slots,
            "busy": live[one.worker].busy,
            "python": one.python,
            "lane": one.lane,
            "digest": one.digest,
            "tags": list(one.tags),
            "speaks_ours": live[one.worker].speaks_ours,
        }
        for one in monitor.offers(function.function)
        if one.worker in live
    ]
    why = "disabled" if function.disabled else None if any(one["speaks_ours"] for one in workers) else "no_worker"
    measure = monitor.measures([function.function]).get(function.function)
    mean = measure.run.mean_seconds if measure is not None else None
    mean = None if mean is None else round(mean, 6)
    slots = sum(one["slots"] for one in workers)
    free = sum(max(0, one["slots"] - one["busy"]) for one in workers)
    return {
        "function": function.function,
        "version": function.version,
        "why_local": why,
        "queued": function.queued,
        "running": function.running,
        "oldest_wait_seconds": function.oldest_wait_seconds,
        "mean_run_seconds": mean,
        "slots": slots,
        "free_slots": free,
        "begins_in_seconds": None if why else _estimate(function.queued, mean, slots, free),
        "lacking_tags": list(snapshot.lacking(function)),
        "travel_as": snapshot.any_functions if why == "no_worker" and function.name != ANY else [],
        "local_runs": {} if measure is None else measure.hour.local,
        "workers": workers,
    }


def _estimate(ahead: int, mean: float | None, slots: int, free: int) -> float | None:
    """Return when a job behind so many others is likely to begin, in seconds from now; None where no one can say."""
    if ahead < free:
        return 0.0
    if mean is None or not slots:
        return None
    return round((ahead - free + 1) * mean / slots, 3)


def _job(monitor: Monitor, snapshot: Snapshot, job: JobState) -> dict[str, Any]:
    """Return what is known of a job, as --json prints it."""
    running = next((one for one in snapshot.running if one.id == job.id), None)
    function = snapshot.function(job.function)
    about = _function(monitor, snapshot, function) if function is not None else None
    place = _place(monitor, job) if job.state == "queued" else None
    estimate = None
    if place is not None and about is not None and not about["why_local"]:
        estimate = _estimate(place, about["mean_run_seconds"], about["slots"], about["free_slots"])
    last = job.trips[-1] if job.trips else None
    return {
        "id": job.id,
        "function": job.function,
        "state": job.state,
        "why": job.why,
        "error": job.error or None,
        "place": place,
        "queued": None if function is None else function.queued,
        "begins_in_seconds": estimate,
        "waits_for": about["why_local"] if about is not None and job.state == "queued" else None,
        "worker": running.worker if running is not None else last.worker if last is not None else None,
        "slot": running.slot if running is not None else last.slot if last is not None else None,
        "run_seconds": running.seconds if running is not None else job.run_seconds,
        "queued_seconds": _queued_seconds(snapshot, job),
        "mean_run_seconds": None if about is None else about["mean_run_seconds"],
        "attempts": job.attempts,
        "crashes": job.crashes,
        "losses": job.losses,
        "ended_seconds": None if job.ended is None else round(max(0.0, snapshot.time - job.ended), 3),
        "waiting_clients": job.waiting_clients,
    }


def _queued_seconds(snapshot: Snapshot, job: JobState) -> float | None:
    if job.state != "queued" or job.submitted is None:
        return job.queued_seconds
    return round(max(0.0, snapshot.time - job.submitted), 3)


def _place(monitor: Monitor, job: JobState) -> int | None:
    """Return how many jobs of its function are before a queued one, None where that was not found."""
    for number in range(PAGES):
        page = monitor.queued(job.function, first=number * PAGE, limit=PAGE)
        for one in page:
            if one.id == job.id:
                return one.place
        if len(page) < PAGE:
            break
    return None


# --- for people -----------------------------------------------------------------------------------------------------


def _lines_of_function(one: dict[str, Any]) -> list[str]:
    why = one["why_local"]
    if why is None:
        lines = [f"{one['function']}: calls run on workers, {one['free_slots']} of {plural(one['slots'], 'slot')} free"]
    elif one["travel_as"]:
        counted = " and ".join(one["travel_as"])
        lines = [f"{one['function']}: no live worker offers it; calls that bring their function run as {counted}"]
    else:
        lines = [f"{one['function']}: calls run at their callers ({why}): {sentence(why)}"]
    oldest = f" (the oldest for {duration(one['oldest_wait_seconds'])})" if one["queued"] else ""
    mean = one["mean_run_seconds"]
    ran = "none ran in the last hour" if mean is None else f"a call ran {duration(mean)} on average in the last hour"
    lines.append(f"  {plural(one['queued'], 'job')} queued{oldest}, {one['running']} running; {ran}")
    if why is None:
        lines.append(f"  a call that is made now begins {_when(one['begins_in_seconds'])}")
    for reason, number in one["local_runs"].items():
        words = sentence(reason) if reason in REASONS else "a reason that this version does not know"
        whose = "its caller" if number == 1 else "their callers"
        lines.append(f"  {plural(number, 'call')} ran at {whose} in the last hour ({reason}): {words}")
    if one["lacking_tags"]:
        needed = named_tags(one["lacking_tags"])
        lines.append(f"  calls that need {needed} run at their callers (no_worker): none of these workers has that")
    for each in one["workers"]:
        code = f", code {each['digest']}" if each["digest"] else ""
        lane = f", lane {each['lane']}" if each["lane"] != one["function"] else ""
        tags = f", tags {' '.join(each['tags'])}" if each["tags"] else ""
        other = "" if each["speaks_ours"] else f", speaks another protocol than {policy.PROTOCOL}"
        busy = f"{each['busy']} of {plural(each['slots'], 'slot')} busy"
        lines.append(
            f"  worker {each['worker']} ({each['label']} on {each['host']}): {busy}, Python {each['python']}"
            f"{code}{lane}{tags}{other}"
        )
    return lines


def _lines_of_job(one: dict[str, Any]) -> list[str]:
    head = f"{one['id']}: a job of {one['function']}, {one['state']}"
    if one["state"] == "queued":
        waited = duration(one["queued_seconds"])
        place = "" if one["place"] is None else f", {plural(one['place'], 'job')} of {one['queued']} before it"
        lines = [f"{head} for {waited}{place}"]
        if one["waits_for"]:
            lines.append(f"  its caller takes it back ({one['waits_for']}): {sentence(one['waits_for'])}")
        else:
            lines.append(f"  it begins {_when(one['begins_in_seconds'])}")
    elif one["state"] == "running":
        mean = one["mean_run_seconds"]
        usual = "" if mean is None else f"; a call of it ran {duration(mean)} on average in the last hour"
        lines = [f"{head} on worker {one['worker']}, slot {one['slot']}, for {duration(one['run_seconds'])}{usual}"]
    else:
        where = f" on worker {one['worker']}" if one["worker"] and not one["why"] else ""
        lines = [f"{head}{where} {ago(one['ended_seconds'] or 0.0)}"]
        if one["why"]:
            what = REASONS[one["why"]].words if one["why"] in REASONS else one["why"]
            lines.append(f"  its caller runs it ({one['why']}): {what}")
        if one["error"]:
            lines.append(f"  {' '.join(one['error'].split())}")
    counts = [plural(one[name], word) for name, word in (("crashes", "crash"), ("losses", "lost worker")) if one[name]]
    if one["attempts"] > 1 or counts:
        lines.append(f"  {plural(one['attempts'], 'attempt')}{''.join(f', {each}' for each in counts)} so far")
    return lines


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "when a slot is free (no one can say when: none of its calls ran in the last hour)"
    return f"in about {duration(seconds)}" if seconds else "at once"
