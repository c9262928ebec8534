"""What is done to the cluster, and when: workers are killed all the time, everything else happens now and then.

One thread. Whatever ends after a while (a frozen process, a slow wire) stands on the agenda until then.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from simpledist.cluster import Cluster, RoleProcess
from tests.faults.chaos.load import Load
from tests.faults.chaos.redis import RedisFaults
from tests.faults.chaos.tally import Tally
from tests.faults.chaos.ways import WayFaults, Ways

WORKERS = 4


@dataclass(frozen=True, slots=True)
class Often:
    """How often what strikes."""

    kill_seconds: float  # a worker is killed so often on average
    other_seconds: float  # one of the other faults strikes so often on average
    only: Collection[str] = ()  # of the others; all, where none is named

    def strikes(self, name: str) -> bool:
        return not self.only or name in self.only


class Faults:
    """The cluster's workers but for one, `spared`: that is never killed, so that its growth can be seen."""

    def __init__(
        self,
        cluster: Cluster,
        data: Path,
        ways: Ways,
        tally: Tally,
        chance: random.Random,
        *,
        often: Often,
        spared: RoleProcess,
        mortal: Callable[[], Load],
    ) -> None:
        self._cluster = cluster
        self._ways = ways
        self._tally = tally
        self._chance = chance
        self._often = often
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._frozen: set[RoleProcess] = set()
        self._spared = spared
        self._distributor = cluster.start_distributor()
        self._workers = [self._worker() for _ in range(WORKERS)]
        self._make_mortal = mortal
        self._mortal = mortal()
        self._redis = RedisFaults(cluster.redis, data, chance, self._later)
        self._wires = WayFaults(ways, chance, self._later)
        self._kill_at = self._other_at = 0.0
        others: dict[Callable[[], bool], float] = {
            self.child_killed: 4,
            self.template_killed: 0.5,
            self.worker_frozen: 2,
            self.worker_drained: 1,
            self.client_killed: 0.5,
            self.distributor_frozen: 1,
            self.distributor_doubled: 1,
            self.distributor_killed: 1,
            self._wires.wire_slow: 1,
            self._wires.wire_cut: 1,
            self._wires.replies_spoiled: 3,
            self._wires.link_throttled: 1.5,
            self._redis.connections_killed: 2,
            self._redis.scripts_flushed: 2,
            self._redis.archives_evicted: 2,
            self._redis.blobs_evicted: 3,
            self._redis.emptied: 0.5,
            self._redis.killed_and_back_with_its_file: 0.7,
            self._redis.killed_and_back_empty: 0.7,
            self._redis.killed_and_back_with_its_file_cut_short: 0.7,
            self._redis.frozen: 0.7,
            self._redis.refuses_writes: 0.7,
            self._redis.limits_lowered: 1,
            self._redis.rights_taken_from_workers: 1,
            self._redis.rights_taken_from_clients: 1,
        }
        self._others = {fault: weight for fault, weight in others.items() if often.strikes(_name_of(fault))}
        self._first = chance.sample(list(self._others), len(self._others))  # each strikes once, then by weight

    @property
    def distributor(self) -> RoleProcess:
        """The one that is never killed."""
        return self._distributor

    def turn(self) -> None:
        """Whatever is due now."""
        now = time.monotonic()
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2]()
        if now >= self._kill_at:
            self._kill_at = now + self._chance.expovariate(1 / self._often.kill_seconds)
            self.worker_killed()
            self._tally.struck("worker_killed")
        if now >= self._other_at:
            self._other_at = now + self._chance.expovariate(1 / self._often.other_seconds)
            fault = self._first.pop() if self._first else self._drawn()
            if fault():
                self._tally.struck(_name_of(fault))
            elif self._first:
                self._first.insert(0, fault)

    def _drawn(self) -> Callable[[], bool]:
        return self._chance.choices(list(self._others), list(self._others.values()))[0]

    def heal(self) -> None:
        """All faults end; a whole cluster is left."""
        while self._agenda:
            heapq.heappop(self._agenda)[2]()
        self._wires.heal()
        self._redis.heal()
        self._mortal.tell_to_stop()

    def loads(self) -> list[Load]:
        return [self._mortal]

    # --- workers -----------------------------------------------------------------------------------------------------

    def worker_killed(self) -> None:
        at = self._chance.randrange(len(self._workers))
        self._frozen.discard(self._workers[at])
        self._end(self._workers[at])
        self._workers[at] = self._worker()

    def worker_drained(self) -> bool:
        """One leaves in order, as in a deployment."""
        at = self._chance.randrange(len(self._workers))
        leaving = self._workers[at]
        if leaving in self._frozen:
            return False
        leaving.send_signal(signal.SIGTERM)
        self._workers[at] = self._worker()
        self._later(3.0, lambda: self._end(leaving))
        return True

    def worker_frozen(self) -> bool:
        return self._freeze(self._chance.choice([*self._workers, self._spared]), self._chance.uniform(1.0, 14.0))

    def child_killed(self) -> bool:
        return self._kill_below(lambda process, worker: process.ppid() != worker)

    def template_killed(self) -> bool:
        return self._kill_below(lambda process, worker: process.ppid() == worker)

    def _kill_below(self, wanted: Callable[[psutil.Process, int], bool]) -> bool:
        worker = self._chance.choice([*self._workers, self._spared])
        try:
            below = psutil.Process(worker.pid).children(recursive=True)
            below = [process for process in below if wanted(process, worker.pid)]
            if below:
                self._chance.choice(below).kill()
        except psutil.Error:
            return False  # it was gone before
        return bool(below)

    def _worker(self) -> RoleProcess:
        for one in self._workers if hasattr(self, "_workers") else ():
            if one.exit_code == 1:
                self._tally.found("deserted", f"{one!r} ended by itself: {one.stderr_text()[-1000:]}")
        url = self._ways.of_a_worker(self._chance)
        return self._cluster.start_worker(arguments=["--any", "--log-level", "error", "--redis", url], ready=False)

    def _end(self, worker: RoleProcess) -> None:
        worker.kill()
        worker.output.unlink(missing_ok=True)
        self._cluster.workers.remove(worker)

    # --- clients and distributors -------------------------------------------------------------------------------------

    def client_killed(self) -> bool:
        self._mortal.kill()
        self._mortal = self._make_mortal()
        return True

    def distributor_frozen(self) -> bool:
        return self._freeze(self._distributor, self._chance.uniform(1.0, 8.0))

    def distributor_doubled(self) -> bool:
        if len(self._cluster.distributors) > 1:
            return False
        self._cluster.start_distributor()
        return True

    def distributor_killed(self) -> bool:
        others = [one for one in self._cluster.distributors if one is not self._distributor]
        for one in others:
            one.kill()
            self._cluster.distributors.remove(one)
        return bool(others)

    # --- what ends after a while -------------------------------------------------------------------------------------

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time.monotonic() + seconds, next(self._numbers), action))

    def _freeze(self, process: RoleProcess, seconds: float) -> bool:
        if process in self._frozen or not process.running:
            return False
        os.kill(process.pid, signal.SIGSTOP)
        self._frozen.add(process)
        self._later(seconds, lambda: self._thaw(process))
        return True

    def _thaw(self, process: RoleProcess) -> None:
        if process in self._frozen:
            self._frozen.discard(process)
            process.send_signal(signal.SIGCONT)


def _name_of(fault: Callable[[], bool]) -> str:
    """Return the fault's name in the report."""
    owner, _, name = fault.__qualname__.partition(".")
    return f"redis_{name}" if owner == RedisFaults.__name__ else name
