"""`simpledist demo`: the README's story on real processes, each step with its outcome and whether that is as promised.

Owns the story only; cluster.py starts and ends the processes. Leaves nothing behind: no process, no port, no file.
"""

from __future__ import annotations

import signal
import sys
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
@click.option("--keep", is_flag=True, help="Leave the cluster and its dashboard running until you press Enter.")
@shared(connects=False, log_level="error")
def demo(keep: bool) -> int:
    """Walk through the whole story on this machine, in about a minute.

    Starts a private Redis, a distributor with its dashboard and worker processes; calls fib on them; stops, kills and
    restarts workers and Redis under way; shows after each step what the caller saw, and that it is as promised. Ends
    all that it started. The exit code is 0 if every step came out right, else 1.

    \b
    Examples:
        simpledist demo
        simpledist demo --keep
    """
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: all that was started is ended
    with Cluster(TARGETS, workers=0, slots=2, web=True) as cluster:
        story = Story(console, cluster)
        code = story.tell()
        if keep:
            story.wait_for_enter()
        story.say("All processes of the demo are being ended.", "dim")
        return code


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
        self.say("This demo runs real processes on this machine, and ends them all.")
        self.say(f"Its private Redis is {kind}.")
        self.say(f"Its dashboard is at {self.cluster.dashboard_url}")
        self.say('The function is fib = worker_function(connect(), "fib", lambda n: "local").', "dim")
        self.say('A call that runs on a worker returns a number; one that runs here, "local".', "dim")
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
        self.say(f"\nEvery call had its one outcome, in {seconds:.0f} s.", "bold")
        return OK

    def wait_for_enter(self) -> None:
        """Leave everything running until somebody presses Enter, or stdin ends."""
        if not any(worker.running for worker in self.cluster.workers):
            self.start_worker()
        self.say("\nThe cluster stays as it is until you press Enter.", "bold")
        self.say(f"The dashboard: {self.cluster.dashboard_url}")
        self.say("In another terminal, for example:")
        self.console.print(f"   export SIMPLEDIST_REDIS_URL={escape(self.cluster.url)}", soft_wrap=True)
        self.say("   simpledist call fib 20\n   simpledist top")
        sys.stdout.flush()
        sys.stdin.readline()

    # --- the steps -----------------------------------------------------------------------------------------------

    def without_worker(self) -> None:
        self.title("No worker runs yet, so the call runs here.")
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=2.0)
        self.title("A worker starts (simpledist-worker fns:fib), and calls run there.")
        self.start_worker()
        self.step("fib(20)", lambda: self.fib(20), 6765)
        self.step("list(fib.map(range(8)))", lambda: list(self.fib.map(range(8))), [0, 1, 1, 2, 3, 5, 8, 13])

    def stopped_worker(self) -> None:
        self.title("The worker is stopped with Ctrl-C, so the call runs here again.")
        code = self.cluster.workers[-1].stop(signal.SIGINT)
        self.check("its exit code", code, 0)
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=1.0)

    def killed_worker(self) -> None:
        self.title("Another worker starts, and is killed with kill -9.")
        worker = self.start_worker()
        self.step("fib(20)", lambda: self.fib(20), 6765)
        worker.kill()
        # fakeredis does not tell which connections are closed: there, heartbeats alone decide.
        within = 12.0 if self.cluster.redis.binary == FAKE else 2.0
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=within)
        self.title("A new worker starts, and calls run there.")
        self.start_worker()
        self.step("fib(20)", lambda: self.fib(20), 6765)

    def exception(self) -> None:
        self.title("A function raises an exception on the worker: its caller gets it.")
        throw = worker_function(self.client, "throw", demo_functions.throw)
        future = throw.submit("thrown")
        error = future.exception()
        self.check('throw("thrown") raises', repr(error), "ValueError('thrown')")
        self.check("it ran", future.info and future.info.where, "remote")

    def redis_restarts(self) -> None:
        self.title("Redis stops, so calls run here. It starts again, and is empty.")
        self.cluster.redis.stop()
        self.step("fib(20)", lambda: self.fib(20), LOCAL, within=2.0)
        self.cluster.redis.start()
        began = time.monotonic()
        while self.fib(20) != 6765 and time.monotonic() < began + 10:
            time.sleep(0.05)
        self.step("fib(20)", lambda: self.fib(20), 6765)
        self.say(f"   Calls ran remotely again {time.monotonic() - began:.1f} s after Redis had started.", "dim")

    def long_run(self) -> None:
        self.title(f"Two workers count the primes below {PRIMES_BELOW:,}; half-way one is killed.")
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
        self.say(f"   {places['remote']} pieces ran on workers and {places['local']} here.", "dim")
        self.say(f"   {again} pieces of the killed worker were run again by the other one.", "dim")

    # --- how a step is shown -------------------------------------------------------------------------------------

    def start_worker(self) -> RoleProcess:
        worker = self.cluster.start_worker()
        self.say(f"   {worker.title} has started with 2 slots (process {worker.pid}).", "dim")
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
