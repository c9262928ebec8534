"""The cluster at one moment, for people: plain frozen records, printable and short whatever Redis holds.

Owns their fields and the schema of `status --json`. Knows nothing of keys, connections or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simpledist.broker.client_demand import NO_JOBS, AtClient
from simpledist.job import ANY
from simpledist.monitor.measures import Histogram, Tally
from simpledist.monitor.workers import WorkerState

SCHEMA = 1
CALLED_SECONDS = 600.0  # so long after its last call that found no worker is a function still asked for


@dataclass(frozen=True, slots=True)
class RedisState:
    """Whether Redis answered. Where `ok` is False, missing answers must not be taken for an empty cluster.

    `refused`: it answers, but does not serve us (password, permission, cluster mode, a replica, still loading).
    `error`: one line for people; with `ok`, the part that could not be read. `remedy`: what to do about it.
    `evicts`: the policy by which a full Redis throws keys away. `blobs`: how many shared objects of calls it has.
    """

    ok: bool
    version: str | None = None
    error: str = ""
    refused: bool = False
    remedy: str = ""
    evicts: str = ""
    blobs: int = 0
    blob_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Dropped:
    """Elements of one key that are left out: no process of ours writes such ones."""

    key: str
    why: str
    count: int

    @property
    def text(self) -> str:
        """Return what was left out, in words."""
        return f"{self.count:,} {'element' if self.count == 1 else 'elements'} of {self.key} {self.why}"

    @property
    def remedy(self) -> str:
        """Return what to do about it."""
        return (
            "find out which program writes to this Redis under our namespace, then remove the key "
            f"(redis-cli DEL {self.key}): workers and clients write again what is theirs"
        )


@dataclass(frozen=True, slots=True)
class FunctionState:
    """One function in one version; `function` is the qualified name, `workers` counts the live ones that offer it."""

    function: str
    name: str
    version: str | None
    queued: int
    running: int
    workers: int
    oldest_wait_seconds: float
    counters: Mapping[str, int] = field(default_factory=dict[str, int])  # all counters, since the beginning
    wanted_seconds: float | None = None  # ago: the last call that found no live worker for it
    wanted_tags: tuple[str, ...] = ()  # that the last such call needed, of those that need any
    wanted_tags_seconds: float | None = None  # ago
    at_clients: AtClient = NO_JOBS  # what waits or runs at its callers for want of a worker
    disabled_seconds: float | None = None  # ago: when an operator disabled it

    @property
    def disabled(self) -> bool:
        """Return whether an operator disabled it: its calls run at their callers."""
        return self.disabled_seconds is not None

    @property
    def tally(self) -> Tally:
        """Return its counters: totals, local runs by why, histograms of runs and waits."""
        return Tally(self.counters)

    @property
    def demand(self) -> float:
        """Return how many jobs want a slot, or have one: at workers, in queues, and at clients for want of a worker."""
        return round(self.queued + self.running + self.at_clients.waiting + self.at_clients.running, 3)

    @property
    def stranded(self) -> bool:
        """Return whether jobs wait for it and no live worker can take them."""
        return self.queued > 0 and self.workers == 0

    @property
    def wanted(self) -> bool:
        """Return whether a client recently called it and no live worker offers it."""
        return self.workers == 0 and self.wanted_seconds is not None and self.wanted_seconds < CALLED_SECONDS

    @property
    def present(self) -> bool:
        """Return whether anybody offers it, called it recently, or waits for it. A mistyped name soon does not."""
        return bool(self.workers or self.demand or self.wanted)

    @property
    def start_command(self) -> str:
        """Return the command that starts a worker for it."""
        if self.name == ANY:
            return "simpledist-worker --any" + (f" (under Python {self.version})" if self.version else "")
        at = "" if self.version is None else f"@{self.version}"
        return f"simpledist-worker MODULE:{self.name}{at}"


@dataclass(frozen=True, slots=True)
class Measure:
    """A function's last hour: calls that ended a second (over the last 60 s), and what its minutes added together."""

    function: str
    calls_per_second: float
    hour: Tally

    @property
    def run(self) -> Histogram:
        """Return how long its jobs ran."""
        return self.hour.histogram("run")

    @property
    def wait(self) -> Histogram:
        """Return how long its jobs waited."""
        return self.hour.histogram("wait")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker runs; `slot` is None while the worker registers it again after Redis was away."""

    function: str
    id: str
    worker: str
    slot: int | None
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole cluster at one moment of Redis' clock (`time`, Unix seconds); empty where Redis is away."""

    redis: RedisState
    time: float = 0.0
    functions: tuple[FunctionState, ...] = ()
    workers: tuple[WorkerState, ...] = ()
    running: tuple[RunningJob, ...] = ()  # longest first; at most 1,000 of a function

    def function(self, name: str) -> FunctionState | None:
        """Return the function of this qualified name."""
        return next((one for one in self.functions if one.function == name), None)

    def worker(self, id: str) -> WorkerState | None:
        """Return the worker of this id."""
        return next((worker for worker in self.workers if worker.id == id), None)

    @property
    def any_functions(self) -> list[str]:
        """Return what calls are counted as that bring their function, for each Python for which a worker runs these."""
        return sorted(one.function for one in self.functions if one.name == ANY and one.workers)

    def lacking(self, function: FunctionState) -> tuple[str, ...]:
        """Return the tags that a recent call needed, where no live worker that offers the function has all of them."""
        ago, tags = function.wanted_tags_seconds, {*function.wanted_tags}
        if ago is None or ago >= CALLED_SECONDS or not function.workers:
            return ()
        offering = (one for one in self.workers if one.live and function.function in one.functions)
        return () if any(tags <= {*one.tags} for one in offering) else function.wanted_tags

    def running_on(self, worker: str) -> list[RunningJob]:
        """Return the jobs that run on a worker."""
        return [one for one in self.running if one.worker == worker]

    def as_status(self) -> dict[str, Any]:
        """Return what `simpledist status --json` prints, without dead workers; a schema only gains fields."""
        return {
            "schema": SCHEMA,
            "redis": {"ok": self.redis.ok, "version": self.redis.version}
            | ({"error": self.redis.error, "remedy": self.redis.remedy} if self.redis.error else {}),
            "functions": [
                {
                    "name": one.name,
                    "version": one.version,
                    "queued": one.queued,
                    "running": one.running,
                    "workers": one.workers,
                    "oldest_wait_seconds": one.oldest_wait_seconds,
                    "disabled": one.disabled,
                    "demand": one.demand,
                    "waiting_at_clients": one.at_clients.waiting,
                    "running_at_clients": round(one.at_clients.running, 3),
                }
                for one in self.functions
            ],
            "workers": [
                {
                    "id": one.id,
                    "label": one.label,
                    "host": one.host,
                    "pid": one.pid,
                    "slots": one.slots,
                    "busy": one.busy,
                    "beat_age_seconds": one.beat_age_seconds,
                    "functions": list(one.functions),
                    "tags": list(one.tags),
                }
                for one in self.workers
                if one.health != "dead"
            ],
        }
