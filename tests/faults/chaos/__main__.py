"""The command: a whole run, its report last, 1 if anything was lost, wrong, stuck or late, or has grown."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests.faults.chaos.calls import FIRST
from tests.faults.chaos.faults import Faults, Often
from tests.faults.chaos.load import MODULE, UNREST, Load
from tests.faults.chaos.patience import Patience
from tests.faults.chaos.sizes import Growth
from tests.faults.chaos.tally import Tally
from tests.faults.chaos.ways import CLIENT, Ways, arguments_of_server, as_user
from tests.faults.conftest import counting_cluster
from tests.faults.functions import work
from tests.faults.history import probe
from tests.key_leaks import key_leaks
from tests.links import open_link

PROGRESS_SECONDS = 10.0
SAMPLE_SECONDS = 2.0
LAST_PROBE_SECONDS = 30.0
EMPTY_SECONDS = 10.0  # once no one calls, the queues are empty within
INTERRUPTED = 130
# What the first job of a child would import: children come and go, and their memory would be that of the younger ones.
WARM_UP = "tests.faults.functions.warming:warm_up"


class Run:
    """One run: `go`, then `report`."""

    def __init__(self, folder: Path, seconds: float, seed: int, often: Often) -> None:
        self.stopping = threading.Event()
        self._folder = folder
        self._seconds = seconds
        self._often = often
        self._chance = random.Random(seed)
        self._tally = Tally()
        self._loads = 0
        self._unrest = 0  # the number of that load: it drops maps, so its runs are more than its outcomes
        self._growth: dict[str, Growth] = {}
        self._recovered = float("nan")
        self._keys = 0
        self._long = ""
        self._began = time.monotonic()

    def go(self) -> None:
        data, runs = self._folder / "data", self._folder / "runs"
        with ExitStack() as stack:
            patience = stack.enter_context(Patience(self._folder, self._seconds))
            redis = stack.enter_context(EmbeddedRedis(folder=data, appendonly=True, arguments=arguments_of_server()))
            cluster = stack.enter_context(counting_cluster(runs, redis=redis))
            ways = stack.enter_context(Ways(cluster.url))
            spared = cluster.start_worker(arguments=["--any", "--log-level", "error", "--setup", WARM_UP])
            unrest = self._load(as_user(cluster.url, CLIENT), UNREST)
            loads = [*map(self._load, ways.of_clients()), unrest]
            faults = Faults(
                cluster,
                data,
                ways,
                self._tally,
                self._chance,
                often=self._often,
                spared=spared,
                mortal=lambda: self._load(self._chance.choice(ways.of_clients())),
            )
            self._growth = {
                "client": Growth(loads[0].pid),
                "client in unrest": Growth(unrest.pid),
                "worker": Growth(spared.pid),
                "distributor": Growth(faults.distributor.pid),
            }
            self._strike(faults)
            faults.heal()
            for role in (spared, faults.distributor):
                if not role.running:
                    self._tally.found("deserted", f"{role!r} ended by itself: {role.stderr_text()[-1000:]}")
            for load in loads:
                load.tell_to_stop()
            for load in [*loads, *faults.loads()]:
                if load.wait() and load not in faults.loads():
                    self._tally.found("lost", f"load {load.pid} did not end in order")
            self._look_at_the_end(cluster)
            for sentence in patience.findings():
                self._tally.found("long", sentence)
            self._long = patience.line()

    def _load(self, url: str, module: str = MODULE) -> Load:
        self._loads += 1
        number = self._loads
        if module == UNREST:
            self._unrest = number
        return Load(
            url,
            seed=self._chance.randrange(10**6),
            first=number * FIRST,
            runs=self._folder / "runs",
            hear=lambda line: self._tally.hear(number, line),
            module=module,
        )

    def _strike(self, faults: Faults) -> None:
        end = time.monotonic() + self._seconds
        progress_at, sample_at = time.monotonic() + PROGRESS_SECONDS, 0.0
        while (now := time.monotonic()) < end and not self.stopping.is_set():
            faults.turn()
            if now >= sample_at:
                sample_at = now + SAMPLE_SECONDS
                for growth in self._growth.values():
                    growth.sample()
            if now >= progress_at:
                progress_at += PROGRESS_SECONDS
                print(self._progress(), flush=True)
            time.sleep(0.01)

    def _progress(self) -> str:
        tally = self._tally
        sizes = ", ".join(f"{who} {growth.now:.0f}" for who, growth in self._growth.items())
        return (
            f"{time.monotonic() - self._began:5.0f} s  {tally.calls} calls, {tally.here} here, "
            f"{sum(tally.faults.values())} faults, {sum(tally.open.values())} open, findings {dict(tally.findings)}, "
            f"MB: {sizes}"
        )

    def _look_at_the_end(self, cluster: Cluster) -> None:
        """Whether it serves again, and what is left when no one calls any more."""
        with simpledist.connect(cluster.url) as client:
            try:
                self._recovered = probe(client, LAST_PROBE_SECONDS)
            except AssertionError as error:
                self._tally.found("stuck", str(error))
        with open_link(cluster.url) as link:
            end = time.monotonic() + EMPTY_SECONDS
            while (left := _at_work(link)) and time.monotonic() < end:
                time.sleep(0.1)
            for name in left:
                self._tally.found("left", f"{name} still holds jobs that no one waits for")
            for sentence in key_leaks(link, Keys()):
                self._tally.found("left", sentence)
            self._keys = int(link.call("DBSIZE"))

    def report(self) -> bool:
        """Print it; whether all is well."""
        tally = self._tally
        runs = {n: times for n, times in work.runs(self._folder / "runs").items() if n // FIRST != self._unrest}
        judged = tally.calls - tally.ended["unrest"]
        most = max((times for n, times in runs.items() if n >= FIRST), default=0)
        findings = tally.findings
        grown = {who: grown for who, growth in self._growth.items() if (grown := growth.grown())}
        print(f"calls                {tally.calls}: {dict(tally.ended.most_common())}")
        print(f"where                {dict(tally.where.most_common())}")
        print(f"faults               {sum(tally.faults.values())}: {dict(tally.faults.most_common())}")
        print(
            " ".join(
                f"{what} {findings[what]}"
                for what in ("lost", "wrong", "stuck", "late", "long", "left", "deserted", "bug")
            )
        )
        print(f"executions per call  {sum(runs.values()) / max(judged, 1):.3f}, at most {most} of one call")
        print(f"unrest               {tally.rounds} rounds, {tally.ended['unrest']} outcomes compared")
        print(f"most over its budget {tally.most_over:+.2f} s")
        for kind, seconds in tally.slowest()[:5]:
            print(f"slowest recovery     {seconds:.1f} s after {kind}")
        print(f"after all            a call runs remotely {self._recovered:.1f} s later; {self._keys} keys in Redis")
        print(f"long jobs            {self._long}")
        for who, growth in self._growth.items():
            print(f"{who:20} {growth.line()}{', GROWN' if who in grown else ''}")
        return not findings and not grown


def _at_work(link: Link) -> list[str]:
    """Keys of jobs that wait or run."""
    names = [name.decode() for name in link.call("KEYS", Keys().prefix + "*")]
    return [name for name in names if name.split(":")[1] in ("queued", "current", "held")]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="tests.faults.chaos", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments.add_argument("--kill-seconds", type=float, default=0.3, help="a worker is killed so often on average")
    arguments.add_argument("--other-seconds", type=float, default=0.8, help="anything else happens so often")
    arguments.add_argument("--fault", action="append", help="of anything else only this, as the report names it")
    options = arguments.parse_args()
    often = Often(options.kill_seconds, options.other_seconds, options.fault or ())
    folder = Path(tempfile.mkdtemp(prefix="sd-chaos-"))
    run = Run(folder, options.minutes * 60, options.seed, often)
    for number in (signal.SIGINT, signal.SIGTERM):  # the first one ends the faults, a second one the run
        signal.signal(number, lambda _number, _frame: run.stopping.set() or _again())
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)  # from here on Ctrl-C ends it in order
    try:
        run.go()
        well = run.report()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if run.stopping.is_set():
        print("interrupted")
        return INTERRUPTED
    print("passed" if well else f"FAILED with seed {options.seed}")
    return 0 if well else 1


def _again() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
