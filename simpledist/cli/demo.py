"""`simpledist demo`: the README's story on real processes; each step prints its outcome and checks it.

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

from simpledist.cli.options import OK, WRONG, shared
from simpledist.client.client import Client
from simpledist.client.function import WorkerFunction
from simpledist.client.options import worker_function
from simpledist.cluster import Cluster, RoleProcess
from simpledist.embedded import FAKE
from simpledist.monitor.times import plural

TARGETS = "simpledist.cli.demo_functions"
LOCAL = "local"
CALLS = 48
SLOW = 29  # fib of it takes some tenths of a second
SLOW_RESULT = 514_229


@click.command()
@click.option("--keep", is_flag=True, help="Leave the cluster and its dashboard running until you press Enter.")
@shared(connects=False, log_level="error")
def demo(keep: bool) -> int:
    """Walk through the whole story on this machine, in about a minute.

    It starts a private Redis, a distributor with its dashboard and workers, and calls fib on them. On the way it stops,
    kills and restarts workers and Redis. Each step prints what the caller sees and whether that is as promised. At the
    end it stops everything that it started. The exit code is 0 if every step was as promised, else 1.

    \b
    Examples:
        simpledist demo
        simpledist demo --keep
    """
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything that was started is stopped
    with Cluster(TARGETS, workers=0, slots=2, web=True) as cluster:
        story = Story(console, cluster)
        code = story.tell()
        if keep:
            story.wait_for_enter()
        story.say("The demo stops all its processes.", "dim")
        return code


class Story:
    """The steps in their order; `failures` holds those whose outcome is not as promised."""

    def __init__(self, console: Console, cluster: Cluster) -> None:
        self.console = console
        self.cluster = cluster
        self.failures: list[str] = []
        self.client: Client = cluster.connect()
        self.fib: WorkerFunction[[int], Any] = worker_function(self.client, "fib", lambda n: LOCAL)

    def tell(self) -> int:
        """Run all steps; return the exit code."""
        began = time.monotonic()
        kind = "fakeredis, which is slow" if self.cluster.redis.binary == FAKE else self.cluster.redis.binary
        self.say("This demo runs real processes on this machine, and stops them all at its end.")
        self.say(f"Its private Redis is {kind}.")
        self.say(f"Its dashboard is at {self.cluster.dashboard_url}")
        self.say('The function is fib = worker_function(connect(), "fib", lambda n: "local").', "dim")
        self.say("A call that runs on a worker returns a number. One that runs here returns", "dim")
        self.say('"local", because here the function is the lambda.', "dim")
        self.without_worker()
        self.stopped_worker()
        self.killed_worker()
        self.exception()
        self.redis_restarts()
        self.long_run()
        seconds = time.monotonic() - began
        if self.failures:
            self.say(f"\nNot as promised: {'; '.join(self.failures)}", "bold red")
            return WRONG
        self.say(f"\nEvery call had exactly one outcome. The demo took {seconds:.0f} s.", "bold")
        return OK

    def wait_for_enter(self) -> None:
        """Leave everything running until a person presses Enter, or stdin ends."""
        if not any(worker.running for worker in self.cluster.workers):
            self.start_worker()
        self.say("\nThe cluster stays as it is until you press Enter.", "bold")
        self.say(f"The dashboard: {self.cluster.dashboard_url}")
        self.say("Try in another terminal:")
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
        self.check("The worker finished what it had, and left with exit code 0.", code, 0)
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
        self.title("A call raises an exception on the worker: its caller gets it.")
        future = self.fib.submit("twenty")  # pyright: ignore[reportArgumentType]
        error = future.exception()
        self.check(f'fib("twenty") raised {type(error).__name__} here.', type(error), TypeError)
        self.check("It ran on a worker.", future.info and future.info.where, "remote")

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
        self.title(f"Two workers run {CALLS} slower calls. Half-way one worker is killed.")
        victim = self.start_worker()
        futures = [self.fib.submit(SLOW) for _ in range(CALLS)]
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        right = 0
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task("calls", total=CALLS)
            for number, future in enumerate(futures):
                right += future.result() in (SLOW_RESULT, LOCAL)
                progress.advance(bar)
                if number == CALLS // 2:
                    victim.kill()
        self.check(f"All {CALLS} calls have their result.", right, CALLS)
        places = Counter(info.where for future in futures if (info := future.info) is not None)
        again = sum(info.attempts > 1 for future in futures if (info := future.info) is not None)
        self.say(f"   {plural(places['remote'], 'call')} ran on workers, {places['local']} here.", "dim")
        if again:
            self.say(f"   The other worker ran {plural(again, 'call')} of the killed one again.", "dim")

    # --- how a step is shown -------------------------------------------------------------------------------------

    def start_worker(self) -> RoleProcess:
        worker = self.cluster.start_worker()
        self.say(f"   {worker.title} has started: 2 slots, process {worker.pid}.", "dim")
        return worker

    def title(self, text: str) -> None:
        self.say(f"\n{text}", "bold")

    def say(self, text: str, style: str = "") -> None:
        self.console.print(escape(text), style=style or None)

    def step(self, text: str, call: Callable[[], Any], expected: Any, *, within: float | None = None) -> None:
        """Make one call; print its value and time, and whether both are as promised."""
        began = time.monotonic()
        value = call()
        milliseconds = (time.monotonic() - began) * 1000
        in_time = within is None or milliseconds <= within * 1000
        promised = f"{expected!r}" + ("" if in_time else f" within {within:.0f} s")
        self._line(f"{text}  ->  {value!r}   {milliseconds:.0f} ms", value == expected and in_time, promised)

    def check(self, text: str, value: Any, expected: Any) -> None:
        """Print a sentence, and whether it is true."""
        self._line(text, value == expected, f"{expected!r}, not {value!r}")

    def _line(self, text: str, right: bool, promised: str) -> None:
        mark = "[green]ok[/]" if right else f"[red]not as promised: {escape(promised)}[/]"
        self.console.print(f"   {escape(text)}   {mark}")
        if not right:
            self.failures.append(text)
