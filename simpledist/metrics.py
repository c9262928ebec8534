"""The cluster's numbers for Prometheus: a snapshot in, the text of a scrape out.

Counters and histograms stand in Redis and only rise there, so any number of distributors may be scraped and none counts
twice; sum over functions, not over instances. Keeps nothing between two scrapes. Called by the dashboard's /metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from simpledist import __version__, exposition, job
from simpledist.exposition import Family, labels
from simpledist.monitor import BOUNDS_SECONDS, FunctionState, Snapshot, Tally

FUNCTIONS_MOST = 300  # with labels of their own; the rest is summed as (others), which can be no function's name
OTHERS = "(others)"
# Of the bounds that are counted by: 1, 3, 10, 30 ... are what a scrape needs.
BOUNDS = tuple(bound for bound in BOUNDS_SECONDS if f"{bound:e}"[:3] in ("1.0", "3.0"))
STATES = ("succeeded", "failed", "cancelled")
SHARED = ("joined", "cached")  # ways in which a call has the outcome of another
HEALTH = ("alive", "late", "silent", "dead")
EVENTS = {
    "submitted": "Jobs that entered a queue; a chunk of a map is one.",
    "requeued": "Times that a job went back to its queue.",
    "lost_pops": "Jobs that were popped and never claimed, and were pushed back.",
    "child_deaths": "Times that a child died of a job that then got a second try.",
}


def scrape(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The body and the Content-Type of a scrape; `accept` is the scraper's Accept header."""
    return exposition.text(_families(snapshot), accept)


def _families(snapshot: Snapshot) -> Iterator[Family]:
    up = Family("simpledist_up", "gauge", "Whether Redis answers the dashboard (1) or not (0).")
    up.add("", int(snapshot.redis.ok))
    yield up
    if not snapshot.redis.ok:
        return
    build = Family("simpledist_build", "info", "Versions of the dashboard and of Redis.")
    build.add(labels(version=__version__, redis_version=snapshot.redis.version or "?"), 1)
    yield build
    yield from _cluster(snapshot)
    functions = [*snapshot.functions[:FUNCTIONS_MOST], *_others(snapshot.functions[FUNCTIONS_MOST:])]
    labelled = [(labels(function=one.name, version=one.version or ""), one) for one in functions]
    yield from _queues(labelled)
    yield from _counts(labelled)
    yield _durations("run", "How long jobs ran on their workers.", labelled)
    yield _durations("wait", "How long jobs waited in their queues.", labelled)


def _cluster(snapshot: Snapshot) -> Iterator[Family]:
    workers = Family("simpledist_workers", "gauge", "Workers by health.")
    for health in HEALTH:
        workers.add(labels(health=health), sum(one.health == health for one in snapshot.workers))
    yield workers
    live = [one for one in snapshot.workers if one.live]
    slots = sum(one.slots for one in live)
    busy = sum(min(one.busy, one.slots) for one in live)
    used = busy / slots if slots else float(any(one.queued for one in snapshot.functions))
    for name, said, value in (
        ("slots", "Slots of live workers.", slots),
        ("slots_busy", "Slots of live workers that run a job.", busy),
        ("utilisation_ratio", "Busy slots by slots; 1 where jobs wait and there is no slot.", used),
    ):
        one = Family(f"simpledist_{name}", "gauge", said)
        one.add("", value)
        yield one


def _queues(functions: Iterable[tuple[str, FunctionState]]) -> Iterator[Family]:
    queued = Family("simpledist_jobs_queued", "gauge", "Jobs that wait for a slot.")
    running = Family("simpledist_jobs_running", "gauge", "Jobs that run.")
    oldest = Family("simpledist_oldest_wait_seconds", "gauge", "How long the oldest queued job waits.")
    offers = Family("simpledist_function_workers", "gauge", "Live workers that offer the function.")
    for named, one in functions:
        queued.add(named, one.queued)
        running.add(named, one.running)
        oldest.add(named, one.oldest_wait_seconds)
        offers.add(named, one.workers)
    yield from (queued, running, oldest, offers)


def _counts(functions: Iterable[tuple[str, FunctionState]]) -> Iterator[Family]:
    ended = Family(
        "simpledist_jobs_ended",
        "counter",
        "Jobs that came to an end on the cluster, by state; a chunk of a map is one.",
    )
    raised = Family("simpledist_jobs_raised", "counter", "Jobs whose function raised on a worker.")
    given_up = Family(
        "simpledist_jobs_given_up", "counter", "Jobs that failed for the cluster's reasons: callers ran them."
    )
    local = Family("simpledist_local_runs", "counter", "Calls that ran at their callers, by reason.")
    shared = Family("simpledist_calls_shared", "counter", "Calls without a run of their own: joined or cached.")
    events = {name: Family(f"simpledist_jobs_{name}", "counter", said) for name, said in EVENTS.items()}
    for named, one in functions:
        tally, local_runs = one.tally, one.tally.local
        for state in STATES:
            ended.add(f'{named},state="{state}"', tally[state])
        raised.add(named, tally.raised)
        for why in job.WHYS:
            if tally[why]:
                given_up.add(f'{named},why="{why}"', tally[why])
            if why in local_runs:
                local.add(f'{named},why="{why}"', local_runs[why])
        for how in SHARED:
            if tally[how]:
                shared.add(f'{named},how="{how}"', tally[how])
        for name, event in events.items():
            event.add(named, tally[name])
    yield from (ended, raised, given_up, local, shared, *events.values())


def _durations(what: str, said: str, functions: Iterable[tuple[str, FunctionState]]) -> Family:
    family = Family(f"simpledist_job_{what}_seconds", "histogram", said)
    for named, one in functions:
        histogram = one.tally.histogram(what)
        count = histogram.count
        if count:
            below = dict(zip(BOUNDS_SECONDS, accumulate(histogram.counts), strict=False))
            family.add_histogram(named, [(bound, below[bound]) for bound in BOUNDS], count, histogram.sum_seconds)
    return family


def _others(functions: Iterable[FunctionState]) -> Iterator[FunctionState]:
    """What is too much for labels, as one function; nothing where nothing is."""
    rest = list(functions)
    if not rest:
        return
    counters: dict[str, int] = {}
    for name, number in (pair for one in rest for pair in one.counters.items()):
        counters[name] = counters.get(name, 0) + number
    yield FunctionState(
        function=OTHERS,
        name=OTHERS,
        version=None,
        queued=sum(one.queued for one in rest),
        running=sum(one.running for one in rest),
        workers=max(one.workers for one in rest),
        oldest_wait_seconds=max(one.oldest_wait_seconds for one in rest),
        counters=Tally(counters).numbers,
    )
