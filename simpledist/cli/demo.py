"""`simpledist demo`: the README's story on real processes, each step with its outcome and whether that is as promised.

Owns the story only; cluster.py starts and ends the processes. Leaves nothing behind: no process, no port, no file.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from simpledist.cli import demo_functions
from simpledist.cli.options import OK, WRONG, shared
from simpledist.client.client import Client
from simpledist.client.function import WorkerFunction, worker_function
from simpledist.cluster import Cluster, RoleProcess
from simpledist.embedded import FAKE

TARGETS = "simpledist.cli.demo_functions"
LOCAL = "local"
PRIMES_BELOW = 1_200_000
PRIMES = 92_938
PIECES = 48


@click.command()
@shared(connects=False, log_level="error")
def demo() -> int:
    """Walk through the whole story on this machine, in about a minute.

    Starts a private Redis, a distributor with its dashboard and worker processes; calls fib on them; stops, kills and
    restarts workers and Redis under way; shows after each step what the caller saw, and that it is as promised. Ends
    all that it started. The exit code is 0 if every step came out right, else 1.

    \b
    Example:
        simpledist demo
    """
    console = Console(highlight=False)
    with Cluster(TARGETS, workers=0, slots=2, web=True) as cluster:
        return Story(console, cluster).tell()


class Story:
    """The steps in their order; `failures` are those whose outcome was not as promised."""

    def __init__(self, console: Console, cluster: Cluster) -> None:
        self.console = console
        self.cluster = cluster
        self.failures: list[str] = []
        self.client: Client = cluster.connect()
        self.fib: WorkerFunction[[int], Any] = worker_function(self.client, "fib", lambda n: LOCAL)

    def tell(self) -> int:
        began = time.monotonic()
        kind = "fakeredis, which is slow" if self.cluster.redis.binary == FAKE else self.cluster.redis.binary
        self.say(f"A private Redis ({kind}), a distributor; the dashboard is at {self.cluster.dashboard_url}")
        self.say('fib = worker_function(connect(), "fib", lambda n: "local")   # so that a local run shows', "dim")
        self.without_worker()
        self.stopped_worker()
        self.killed_worker()
        self.exception()
        self.redis_restarts()
        self.long_run()
        seconds = time.monotonic() - began
        if self.failures:
            self.say(f"\n{len(self.failures)} steps were not as promised: {'; '.join(self.failures)}", "bold red")
            return WRONG
        self.say(f"\nEvery call had its one outcome. {seconds:.0f} s; ending all processes.", "bold")
        return OK

    # --- the steps -----------------------------------------------------------------------------------------------

    def without_worker(self) -> None:
        self.title("No worker: the function itself is the last resort")
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=2.0)
        self.title("A worker starts (simpledist-worker fns:fib)")
        self.start_worker()
        self.step("fib(20)", lambda: self.fib(20), 6765)
        self.step("list(fib.map(range(10)))", lambda: list(self.fib.map(range(10))), [0, 1, 1, 2, 3, 5, 8, 13, 21, 34])

    def stopped_worker(self) -> None:
        self.title("The worker is stopped (Ctrl-C)")
        code = self.cluster.workers[-1].stop(signal.SIGINT)
        self.check("its exit code", code, 0)
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=1.0)

    def killed_worker(self) -> None:
        self.title("Another one starts, and is killed (kill -9)")
        worker = self.start_worker()
        self.step("fib(20)", lambda: self.fib(20), 6765)
        worker.kill()
        # fakeredis does not tell which connections are closed: there, heartbeats alone decide.
        within = 12.0 if self.cluster.redis.binary == FAKE else 2.0
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=within)
        self.title("It is started again")
        self.start_worker()
        self.step("fib(20)", lambda: self.fib(20), 6765)

    def exception(self) -> None:
        self.title("A function that raises")
        throw = worker_function(self.client, "throw", demo_functions.throw)
        future = throw.submit("thrown")
        error = future.exception()
        self.check('throw("thrown") raised', repr(error), "ValueError('thrown')")
        self.check("on", future.info and future.info.where, "remote")

    def redis_restarts(self) -> None:
        self.title("Redis stops, and starts again empty")
        self.cluster.redis.stop()
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=2.0)
        self.cluster.redis.start()
        began = time.monotonic()
        while self.fib(20) != 6765 and time.monotonic() < began + 10:
            time.sleep(0.05)
        self.step("fib(20)", lambda: self.fib(20), 6765)
        self.say(f"   remote again by itself, {time.monotonic() - began:.1f} s after the start of Redis", "dim")

    def long_run(self) -> None:
        self.title(f"All slots at work: the primes below {PRIMES_BELOW:,}; half-way one of two workers is killed")
        victim = self.start_worker()
        primes = worker_function(self.client, "primes", demo_functions.primes)
        size = PRIMES_BELOW // PIECES
        futures = [primes.submit(start, start + size) for start in range(0, PRIMES_BELOW, size)]
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        total = 0
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task("pieces", total=PIECES)
            for number, future in enumerate(futures):
                total += future.result()
                progress.advance(bar)
                if number == PIECES // 2:
                    victim.kill()
        self.check("primes found", total, PRIMES)
        places = Counter(info.where for future in futures if (info := future.info) is not None)
        again = sum(info.attempts > 1 for future in futures if (info := future.info) is not None)
        self.say(f"   {dict(places)}; {again} pieces of the killed worker ran a second time on the other one", "dim")

    # --- how a step is shown -------------------------------------------------------------------------------------

    def start_worker(self) -> RoleProcess:
        worker = self.cluster.start_worker()
        self.say(f"   {worker.title}: pid {worker.pid}, 2 slots", "dim")
        return worker

    def title(self, text: str) -> None:
        self.say(f"\n{text}", "bold")

    def say(self, text: str, style: str = "") -> None:
        self.console.print(escape(text), style=style or None)

    def step(self, text: str, call: Callable[[], Any], expected: Any, *, within: float | None = None) -> None:
        """One call, its outcome, its time, and whether both are as promised."""
        began = time.monotonic()
        outcome = call()
        seconds = time.monotonic() - began
        self.check(text, outcome, expected, seconds=seconds, within=within)

    def check(
        self, text: str, outcome: Any, expected: Any, *, seconds: float | None = None, within: float | None = None
    ) -> None:
        right = outcome == expected and (within is None or seconds is None or seconds <= within)
        took = "" if seconds is None else f"   {seconds * 1000:.0f} ms"
        mark = "[green]ok[/]" if right else f"[red]not as promised: {escape(repr(expected))}[/]"
        if not right and within is not None:
            mark += f" [red]within {within} s[/]"
        self.console.print(f"   {escape(text)}  ->  {escape(repr(outcome))}{took}   {mark}")
        if not right:
            self.failures.append(text)
