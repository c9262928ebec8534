"""The law of scaling, alone and in a simulated cluster: arrivals, job times, workers that take time to start."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from simpledist.scaling import LOOKS, Demand, Scale, workers_wanted

STEP_SECONDS = 0.05


# --- the law alone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demand", "slots", "workers"),
    [
        (Demand(), 8, 0),
        (Demand(running=0.001), 8, 1),
        (Demand(waiting=1), 8, 1),
        (Demand(waiting=12), 8, 2),
        (Demand(running=8), 8, 1),
        (Demand(running=8, waiting=1), 8, 2),
        (Demand(waiting=200, mean_seconds=1.0), 8, 5),  # 200 s of work, 5 s for each slot
        (Demand(waiting=200, mean_seconds=60.0), 8, 25),  # never more slots than jobs
        (Demand(waiting=2000, mean_seconds=0.01), 8, 1),  # a job is a batch of at least 20 ms
        (Demand(running=16, waiting=200, mean_seconds=0.5), 8, 5),
    ],
)
def test_workers_are_wanted_for_the_slots_that_the_jobs_could_use(demand: Demand, slots: int, workers: int) -> None:
    assert workers_wanted([demand], slots=slots) == workers


def test_the_demand_of_several_functions_shares_workers() -> None:
    assert workers_wanted([Demand(waiting=3), Demand(running=3), Demand(waiting=2)], slots=8) == 1


def test_with_more_time_for_what_waits_fewer_workers_are_wanted() -> None:
    demand = [Demand(waiting=600, mean_seconds=1.0)]
    assert workers_wanted(demand, slots=1, seconds=60) == 10
    assert workers_wanted(demand, slots=1, seconds=1) == 600


def test_up_at_once_and_down_after_three_looks_to_the_highest_of_them() -> None:
    scale = Scale().looked(4)
    assert scale.workers == 4
    for wanted in (1, 3):
        scale = scale.looked(wanted)
        assert scale.workers == 4
    assert scale.looked(2).workers == 3
    assert scale.looked(5).workers == 5


def test_a_look_that_wants_as_many_begins_the_count_anew() -> None:
    scale = Scale(4)
    for wanted in (0, 0, 4) * 5:
        scale = scale.looked(wanted)
        assert scale.workers == 4


# --- a cluster ---------------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """Takes jobs from `ready_at` on, with so many slots; `ends`: when those end that it runs."""

    ready_at: float
    idle_since: float
    ends: list[float] = field(default_factory=list[float])
    leaving: bool = False


@dataclass
class Cluster:
    """A client whose calls wait, or run here one at a time, while there is no worker; and an autoscaler that looks.

    `idle_exit`: workers end by themselves after so long without a job, and the autoscaler only starts some. Without it
    the autoscaler also stops them, as Kubernetes does.
    """

    arrivals: Sequence[tuple[float, float]]  # when each job comes, and how long it takes
    slots: int = 8
    start_seconds: float = 3.0
    look_seconds: float = 5.0
    idle_exit: float | None = None
    looks: int = LOOKS
    most: int = 1000

    now: float = 0.0
    waits: list[float] = field(default_factory=list[float])  # of jobs that have begun
    targets: list[int] = field(default_factory=list[int])  # what each look asked for
    started: int = 0
    workers: list[Worker] = field(default_factory=list[Worker])

    def run(self, seconds: float) -> Cluster:
        """Let time pass."""
        coming, queue = deque(self.arrivals), deque[tuple[float, float]]()
        here: list[float] = []  # when the job ends that runs at the client
        ran: list[float] = []  # how long jobs took
        scale, look_at = Scale(), 0.0
        while self.now < seconds:
            while coming and coming[0][0] <= self.now:
                queue.append(coming.popleft())
            here = [end for end in here if end > self.now]
            for worker in self.workers:
                worker.ends = [end for end in worker.ends if end > self.now]
                worker.idle_since = self.now if worker.ends else worker.idle_since
            live = [one for one in self.workers if one.ready_at <= self.now and not one.leaving]
            for worker in live:
                while queue and len(worker.ends) < self.slots:
                    worker.ends.append(self._begin(queue, ran))
            if queue and not live and not here:
                here.append(self._begin(queue, ran))
            if self.now >= look_at:
                look_at += self.look_seconds
                running = sum(len(one.ends) for one in self.workers)
                demand = Demand(running + len(here), len(queue), sum(ran) / len(ran) if ran else None)
                wanted = min(workers_wanted([demand], slots=self.slots), self.most)
                scale = scale.looked(wanted) if self.looks == LOOKS else Scale(wanted)
                self.targets.append(scale.workers)
                self._scale_to(scale.workers)
            self.workers = [one for one in self.workers if not self._has_ended(one)]
            self.now += STEP_SECONDS
        assert len(self.waits) == len(self.arrivals), "jobs are left"
        return self

    def _begin(self, queue: deque[tuple[float, float]], ran: list[float]) -> float:
        came, takes = queue.popleft()
        self.waits.append(self.now - came)
        ran.append(takes)
        return self.now + takes

    def _scale_to(self, target: int) -> None:
        staying = [one for one in self.workers if not one.leaving]
        for _ in range(target - len(staying)):
            self.started += 1
            self.workers.append(Worker(self.now + self.start_seconds, self.now + self.start_seconds))
        if self.idle_exit is None:
            for worker in sorted(staying, key=lambda one: len(one.ends))[: max(0, len(staying) - target)]:
                worker.leaving = True

    def _has_ended(self, worker: Worker) -> bool:
        if worker.leaving:
            return not worker.ends
        return self.idle_exit is not None and self.now - worker.idle_since > self.idle_exit

    @property
    def turns(self) -> int:
        """How often the number of workers began to fall, or to rise again."""
        moves = [b - a for a, b in pairwise(self.targets) if a != b]
        return sum(a * b < 0 for a, b in pairwise(moves))

    @property
    def least_looks_before_a_fall(self) -> int:
        """How many looks there were at least between a change and the next fall."""
        changes = [i + 1 for i, (a, b) in enumerate(pairwise(self.targets)) if a != b]
        falls = [i for i in changes if self.targets[i] < self.targets[i - 1]]
        return min((fall - before for before, fall in pairwise(changes) if fall in falls), default=LOOKS)


def poisson(a_second: float, seconds: float, takes: float, seed: int, since: float = 0.0) -> list[tuple[float, float]]:
    """Jobs that come independently of each other, and take `takes` seconds on average (exponentially distributed)."""
    rng, at, jobs = random.Random(seed), since, list[tuple[float, float]]()
    while (at := at + rng.expovariate(a_second)) < since + seconds:
        jobs.append((at, rng.expovariate(1 / takes)))
    return jobs


@pytest.mark.parametrize("idle_exit", [None, 30.0])
@pytest.mark.parametrize("start_seconds", [1.0, 10.0, 60.0])
def test_from_no_worker_a_burst_is_done_in_less_than_half_of_the_time(
    start_seconds: float, idle_exit: float | None
) -> None:
    cluster = Cluster([(1.0, 1.0)] * 200, start_seconds=start_seconds, idle_exit=idle_exit).run(300)
    assert max(cluster.waits) < min(100, start_seconds + 15)
    assert cluster.workers == [], "all of them have ended"
    assert cluster.started <= 25


@pytest.mark.parametrize("idle_exit", [None, 30.0])
def test_one_lone_job_gets_a_worker(idle_exit: float | None) -> None:
    cluster = Cluster([(1.0, 20.0), (1.0, 20.0)], idle_exit=idle_exit).run(120)
    assert max(cluster.waits) < 10
    assert (cluster.started, max(cluster.targets), cluster.workers) == (1, 1, [])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("a_second", "takes"), [(10.0, 2.0), (100.0, 0.2), (0.5, 40.0)])
def test_under_a_steady_load_it_neither_flaps_nor_starves(seed: int, a_second: float, takes: float) -> None:
    jobs = poisson(a_second, 900, takes, seed)
    calm = Cluster(jobs).run(1300)
    nervous = Cluster(jobs, looks=1).run(1300)
    assert calm.least_looks_before_a_fall >= LOOKS
    assert calm.turns <= 0.75 * nervous.turns, "looks in a row are what keeps it calm"
    assert calm.turns <= len(calm.targets) / 5
    settled = calm.waits[len(calm.waits) // 4 :]
    assert sum(wait < 1.0 for wait in settled) > 0.9 * len(settled)
    assert max(settled) < calm.start_seconds + calm.look_seconds + 2
    mean = sum(calm.targets[24:180]) / len(calm.targets[24:180])
    assert a_second * takes / 8 <= mean <= math.ceil(a_second * takes / 8) + 2, "it holds no more than are needed"


@pytest.mark.parametrize("idle_exit", [None, 60.0])
def test_it_follows_a_load_that_rises_and_falls(idle_exit: float | None) -> None:
    loads = (1.0, 8.0, 40.0, 8.0, 1.0)
    jobs = [job for turn, load in enumerate(loads) for job in poisson(load, 300, 1.0, turn, since=300.0 * turn)]
    cluster = Cluster(jobs, start_seconds=10.0, idle_exit=idle_exit).run(1700)
    peaks = [max(cluster.targets[60 * turn + 12 : 60 * turn + 60]) for turn in range(5)]
    assert peaks[0] < peaks[1] < peaks[2] > peaks[3] > peaks[4] >= 1
    assert sum(cluster.waits) / len(cluster.waits) < 1.0
    assert max(cluster.waits) < 10.0 + 5.0 + 10.0
    assert cluster.workers == []


def test_many_short_jobs_start_no_crowd_of_workers() -> None:
    cluster = Cluster([(1.0, 0.02)] * 5000, start_seconds=3.0).run(200)
    assert cluster.started <= 8, "5,000 jobs are 100 s of work"
    assert max(cluster.waits) < 30
