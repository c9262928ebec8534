"""The cluster's numbers for Prometheus: takes a snapshot, returns the text of a scrape.

Redis holds the counters and histograms, and they only rise there. So any number of distributors may be scraped, and
none counts twice: sum over functions, not over instances. Keeps nothing between two scrapes. Called by /metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from simpledist import __version__
from simpledist.monitor import BOUNDS_SECONDS, FunctionState, Snapshot, Tally
from simpledist.monitor.demand import together
from simpledist.reasons import WHYS

FUNCTIONS_MOST = 300  # with labels of their own; the rest is summed as (others), which is no valid name
OTHERS = "(others)"
LABELS = ("function", "version")
# A scrape needs a part of the bounds: 1, 3, 10, 30 ...
BOUNDS = tuple(bound for bound in BOUNDS_SECONDS if f"{bound:e}"[:3] in ("1.0", "3.0"))
STATES = ("succeeded", "failed", "cancelled")
SHARED = ("joined", "cached")  # ways in which a call has the outcome of another
HEALTH = ("alive", "late", "silent", "dead")
EVENTS = {
    "submitted": "Jobs that entered a queue; a batch of a map is one.",
    "requeued": "Times that a job went back to its queue.",
    "lost_pops": "Jobs that were popped and never claimed, and were pushed back.",
    "child_deaths": "Times that a child died of a job that then got a second try.",
}


def exposition(snapshot: Snapshot, accept: str = "", *, dropped: Mapping[str, int] | None = None) -> tuple[bytes, str]:
    """Return the body and the Content-Type of a scrape; `accept` is the scraper's Accept header.

    `dropped`: how many elements of Redis were left out, by kind (Monitor.dropped_in_all).
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(snapshot, dropped or {}))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collected(Collector):
    """One snapshot as metric families."""

    def __init__(self, snapshot: Snapshot, dropped: Mapping[str, int]) -> None:
        self._snapshot = snapshot
        self._dropped = dropped

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        up = GaugeMetricFamily("simpledist_up", "Whether Redis answers the dashboard (1) or not (0).")
        up.add_metric([], 1.0 if snapshot.redis.ok else 0.0)
        yield up
        if not snapshot.redis.ok:
            return
        info = InfoMetricFamily("simpledist_build", "Versions of the dashboard and of Redis.")
        info.add_metric([], {"version": __version__, "redis_version": snapshot.redis.version or "?"})
        yield info
        dropped = CounterMetricFamily(
            "simpledist_elements_dropped",
            "Elements of Redis that this dashboard left out, because no process of simpledist writes such ones.",
            labels=["kind"],
        )
        for kind, number in self._dropped.items():
            dropped.add_metric([kind], number)
        yield dropped
        yield from _cluster(snapshot)
        functions = [*snapshot.functions[:FUNCTIONS_MOST], *_others(snapshot.functions[FUNCTIONS_MOST:])]
        yield from _queues(functions)
        yield from _counts(functions)
        yield _durations("run", "How long jobs ran on their workers.", functions)
        yield _durations("wait", "How long jobs waited in their queues until a worker first took them.", functions)


def _cluster(snapshot: Snapshot) -> Iterator[Metric]:
    workers = GaugeMetricFamily("simpledist_workers", "Workers by health.", labels=["health"])
    for health in HEALTH:
        workers.add_metric([health], sum(one.health == health for one in snapshot.workers))
    yield workers
    live = [one for one in snapshot.workers if one.live]
    slots = sum(one.slots for one in live)
    busy = sum(min(one.busy, one.slots) for one in live)
    yield GaugeMetricFamily("simpledist_slots", "Slots of live workers.", value=slots)
    yield GaugeMetricFamily("simpledist_slots_busy", "Slots of live workers that run a job.", value=busy)
    yield GaugeMetricFamily(
        "simpledist_utilisation_ratio",
        "Busy slots by slots; 1 where jobs wait and there is no slot.",
        value=busy / slots if slots else float(any(one.queued for one in snapshot.functions)),
    )


def _queues(functions: Iterable[FunctionState]) -> Iterator[Metric]:
    demand = GaugeMetricFamily(
        "simpledist_demand",
        "Jobs that want a slot, or have one: running, queued, and at their callers for want of a worker.",
        labels=LABELS,
    )
    queued = GaugeMetricFamily("simpledist_jobs_queued", "Jobs that wait for a slot.", labels=LABELS)
    running = GaugeMetricFamily("simpledist_jobs_running", "Jobs that run.", labels=LABELS)
    oldest = GaugeMetricFamily("simpledist_oldest_wait_seconds", "How long the oldest queued job waits.", labels=LABELS)
    offers = GaugeMetricFamily("simpledist_function_workers", "Live workers that offer the function.", labels=LABELS)
    for one in functions:
        demand.add_metric(_labels(one), one.demand)
        queued.add_metric(_labels(one), one.queued)
        running.add_metric(_labels(one), one.running)
        oldest.add_metric(_labels(one), one.oldest_wait_seconds)
        offers.add_metric(_labels(one), one.workers)
    yield from (demand, queued, running, oldest, offers)


def _counts(functions: Iterable[FunctionState]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "simpledist_jobs_ended",
        "Jobs that came to an end on the cluster, by state; a batch of a map is one.",
        labels=[*LABELS, "state"],
    )
    raised = CounterMetricFamily("simpledist_jobs_raised", "Jobs whose function raised on a worker.", labels=LABELS)
    given_up = CounterMetricFamily(
        "simpledist_jobs_given_up",
        "Jobs that failed for the cluster's reasons: callers ran them.",
        labels=[*LABELS, "why"],
    )
    local = CounterMetricFamily(
        "simpledist_local_runs", "Calls that ran at their callers, by reason.", labels=[*LABELS, "why"]
    )
    shared = CounterMetricFamily(
        "simpledist_calls_shared", "Calls without a run of their own: joined or cached.", labels=[*LABELS, "how"]
    )
    events = {
        name: CounterMetricFamily(f"simpledist_jobs_{name}", said, labels=LABELS) for name, said in EVENTS.items()
    }
    for one in functions:
        labels, tally = _labels(one), one.tally
        for state in STATES:
            ended.add_metric([*labels, state], tally[state])
        raised.add_metric(labels, tally.raised)
        for why in WHYS:
            if tally[why]:
                given_up.add_metric([*labels, why], tally[why])
            if tally.local.get(why):
                local.add_metric([*labels, why], tally.local[why])
        for how in SHARED:
            if tally[how]:
                shared.add_metric([*labels, how], tally[how])
        for name, event in events.items():
            event.add_metric(labels, tally[name])
    yield from (ended, raised, given_up, local, shared, *events.values())


def _durations(what: str, said: str, functions: Iterable[FunctionState]) -> Metric:
    family = HistogramMetricFamily(f"simpledist_job_{what}_seconds", said, labels=LABELS)
    for one in functions:
        histogram = one.tally.histogram(what)
        if not histogram.count:
            continue
        below = dict(zip(BOUNDS_SECONDS, accumulate(histogram.counts), strict=False))
        buckets = [(str(bound), float(below[bound])) for bound in BOUNDS]
        buckets.append(("+Inf", float(histogram.count)))
        family.add_metric(_labels(one), buckets=buckets, sum_value=histogram.sum_seconds)
    return family


def _labels(function: FunctionState) -> list[str]:
    return [function.name, function.version or ""]


def _others(functions: Iterable[FunctionState]) -> Iterator[FunctionState]:
    """Yield the functions that are too many for labels, summed as one."""
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
        at_clients=together(one.at_clients for one in rest),
    )
