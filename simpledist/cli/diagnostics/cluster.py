"""Checks of the cluster: dead workers, workers that cannot work, queues without one, calls that ran at
their clients."""

from __future__ import annotations

from collections.abc import Iterator

from simpledist import __version__
from simpledist.cli.diagnostics.facts import RECENT_MINUTES, Facts
from simpledist.cli.diagnostics.finding import SHOWN, Check, Finding, some
from simpledist.cli.reading import named, with_tags, without_tags, without_worker
from simpledist.job import ANY
from simpledist.monitor import FunctionState, WorkerState
from simpledist.monitor.times import ago, plural
from simpledist.reasons import REASONS, address

START_SECONDS = 2.0  # a replacement may have started so long before the last beat of the worker that it replaces
# The words of a worker's problem, by the check that reports them; "other version" belongs to the protocols.
PROBLEMS = {
    "workers": ("stuck", "no child"),
    "refusals": ("other key", "missing module", "withdrawn", "refuses jobs"),
    "code": ("other code",),
}


def _workers(facts: Facts) -> Iterator[Finding]:
    workers = facts.snapshot.workers
    silent = [one for one in workers if one.health == "silent"]
    dead = [one for one in workers if one.health == "dead"]
    missed = [*silent, *_not_replaced(dead, workers)]
    for one in missed[:SHOWN]:
        beat = "" if one.beat_age_seconds is None else f", its last beat was {ago(one.beat_age_seconds)}"
        yield Finding(
            "workers",
            f"worker {named(one)} is {one.health}{beat}",
            "start it again if you need it; its jobs went back to their queues, and its row goes after 10 minutes",
        )
    if len(missed) > SHOWN:
        yield Finding("workers", f"{len(missed) - SHOWN} more are dead or silent", "simpledist workers lists them")
    live = [one for one in workers if one.live]
    others = [one for one in live if one.simpledist not in ("", __version__)]
    if others:
        yield Finding(
            "workers",
            f"{plural(len(others), 'worker runs', 'workers run')} another simpledist than {__version__}: "
            + some([f"{named(one)} {one.simpledist}" for one in others]),
            "install the same version everywhere, workers first",
        )
    troubled = list(_problems(facts, "workers"))
    yield from troubled
    if not missed and not others and not troubled:
        replaced = f"; {plural(len(dead), 'worker')} that died {'was' if len(dead) == 1 else 'were'} replaced"
        slots = sum(one.slots for one in live)
        yield Finding(
            "workers",
            f"{len(live)} live, {plural(slots, 'slot')}{replaced if dead else ''}"
            if live
            else "none: calls run at their clients",
        )


def _not_replaced(dead: list[WorkerState], workers: tuple[WorkerState, ...]) -> list[WorkerState]:
    """Return the dead workers for which no other worker was started that offers the same functions.

    Each worker replaces one: three that died at once need three new ones, one that died three times needs the last.
    """
    free = sorted(workers, key=lambda one: one.started_seconds or 0.0)
    missed: list[WorkerState] = []
    for gone in sorted(dead, key=lambda one: one.beat_age_seconds or 0.0):  # the latest death has the fewest candidates
        by = next((one for one in free if _replaces(one, gone)), None)
        if by is None:
            missed.append(gone)
        else:
            free.remove(by)
    return missed


def _replaces(one: WorkerState, gone: WorkerState) -> bool:
    if one.id == gone.id or one.health == "silent" or one.started_seconds is None or gone.beat_age_seconds is None:
        return False
    began_later = one.started_seconds <= gone.beat_age_seconds + START_SECONDS
    return began_later and {*gone.functions} <= {*one.functions, *one.withdrawn}


def _problems(facts: Facts, check: str) -> Iterator[Finding]:
    """Report what is wrong with single workers, in the words of the pages."""
    found = [
        (worker, problem)
        for worker in facts.snapshot.workers
        for problem in worker.problems
        if problem.word in PROBLEMS[check]
    ]
    for worker, problem in found[:SHOWN]:
        yield Finding(check, f"worker {named(worker)} {problem.text}", problem.remedy)
    if len(found) > SHOWN:
        yield Finding(check, f"{len(found) - SHOWN} more workers have such a problem", "simpledist workers lists them")


def _protocols(facts: Facts) -> Iterator[Finding]:
    """Check that clients and workers speak the same protocol: others never meet in a job."""
    workers: dict[int, list[WorkerState]] = {}
    for one in facts.snapshot.workers:
        if one.live:
            workers.setdefault(one.protocol or 1, []).append(one)
    numbers = sorted({*workers, *facts.protocols})
    if len(numbers) < 2:
        yield Finding("protocol", "clients and workers speak the same one")
        return
    speakers = [
        f"{number} by {some([named(one) for one in workers.get(number, [])]) or 'no worker'}"
        f" and {plural(facts.protocols.get(number, 0), 'client')}"
        for number in numbers
    ]
    yield Finding(
        "protocol",
        f"different protocols are spoken: {'; '.join(speakers)}",
        "install the same simpledist everywhere: those that differ never meet, and calls run at their clients",
    )


def _refusals(facts: Facts) -> Iterator[Finding]:
    """Check for workers that give jobs back: each lacks something that others have."""
    found = list(_problems(facts, "refusals"))
    yield from found or [Finding("refusals", "no worker gives jobs back")]


def _queues(facts: Facts) -> Iterator[Finding]:
    functions = facts.snapshot.functions
    stranded = [one for one in functions if one.stranded]
    for one in stranded[:SHOWN]:
        yield Finding("queues", without_worker(one), f"start one with {one.start_command}")
    if not stranded:
        queued = sum(one.queued for one in functions)
        yield Finding("queues", f"{plural(queued, 'job')} queued, each with a worker" if queued else "no jobs queued")


def _versions(facts: Facts) -> Iterator[Finding]:
    """Check that what is called is offered: the answer to most of "why does it run locally?"."""
    functions = facts.snapshot.functions
    wanted = [one for one in functions if one.wanted]
    travelling = facts.snapshot.any_functions
    for one in wanted[:SHOWN]:
        offered = [other.function for other in functions if other.name == one.name and other.workers]
        yield _wanted(one, offered, travelling)
    lacking = [(one, tags) for one in functions if (tags := facts.snapshot.lacking(one))]
    for one, tags in lacking[:SHOWN]:
        yield Finding("versions", without_tags(one, tags), f"start one with {with_tags(one, tags)}")
    if not wanted and not lacking:
        yield Finding("versions", "what is called is offered")


def _wanted(function: FunctionState, offered: list[str], travelling: list[str]) -> Finding:
    called = f"{function.function} was called {ago(function.wanted_seconds)} and ran on no worker"
    if function.name == ANY:  # of another Python: no version that its callers could ask for
        travelling = []
    elif offered:
        return Finding(
            "versions",
            f"{called}: live workers offer {some(offered)}",
            f"start a worker for {function.function}, or have its callers ask for {offered[0]} (version=)",
        )
    since = f", unless its calls go to {some(travelling)} since then" if travelling else ""
    return Finding("versions", f"{called}: no live worker offers it", f"start one with {function.start_command}{since}")


def _local_runs(facts: Facts) -> Iterator[Finding]:
    """Name every reason for which calls recently ran at their clients, unless somebody asked for it."""
    counts: dict[str, dict[str, int]] = {}
    for function, tally in facts.recent.items():
        for why, number in tally.local.items():
            # "no_worker" holds until a worker comes: the check of versions says it while it is true.
            if why != "no_worker" and not (why in REASONS and REASONS[why].asked_for):
                counts.setdefault(why, {})[function] = number
    for why, functions in sorted(counts.items(), key=lambda one: -sum(one[1].values())):
        number = sum(functions.values())
        names = sorted(functions, key=lambda name: -functions[name])
        reason = REASONS.get(why)
        cause = next((one.place for one in facts.failures if one.kind == why and one.function in functions), "")
        yield Finding(
            "local runs",
            f"{plural(number, 'call')} of {some(names)} ran at {'its client' if number == 1 else 'their clients'} in "
            f"the last {RECENT_MINUTES} minutes: {reason.words if reason else why} ({why})"
            f"{f', the latest on worker {cause}' if cause else ''}",
            f"{reason.remedy} ({address(why)})"
            if reason
            else "install the newest simpledist: this version does not know the reason",
        )
    if not counts:
        yield Finding("local runs", f"none in the last {RECENT_MINUTES} minutes but those that were asked for")


def _code(facts: Facts) -> Iterator[Finding]:
    found = list(_problems(facts, "code"))
    yield from found or [Finding("code", "no client called a worker that has other code")]


def _distributions(facts: Facts) -> Iterator[Finding]:
    """Say which versions differ between workers that take any function: advice, for most calls need none of them."""
    versions: dict[str, set[str]] = {}
    for worker in facts.snapshot.workers:
        for name, version in worker.distributions if worker.live else ():
            versions.setdefault(name, set()).add(version)
    differ = [f"{name} ({', '.join(sorted(found))})" for name, found in sorted(versions.items()) if len(found) > 1]
    if differ:
        yield Finding("distributions", f"workers with --any have different versions of {some(differ)}")


def _random(facts: Facts) -> Iterator[Finding]:
    shared = [one for one in facts.snapshot.workers if one.live and one.generators]
    for one in shared[:SHOWN]:
        yield Finding(
            "random",
            f"every child of worker {named(one)} draws the same numbers from {some(one.generators)}",
            "give the function a seed, and make its generator in it (docs/random.md)",
        )
    if not shared:
        yield Finding("random", "no children share a random generator")


CHECKS: tuple[Check, ...] = (
    _workers,
    _protocols,
    _refusals,
    _queues,
    _versions,
    _local_runs,
    _code,
    _distributions,
    _random,
)
