"""What a caller sees when a worker, a child, a client or Redis dies, with default settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster, RoleProcess
from tests.integration.functions import farm
from tests.waiting import wait_until

LOCAL = "local"


def offered(client: simpledist.Client, name: str, **options: Any) -> Any:
    return simpledist.worker_function(client, name, lambda *_, **__: LOCAL, **options)


def runs_remotely(client: simpledist.Client, seconds: float = 10.0) -> None:
    """The probe after every fault: most trusted systems no longer lose jobs, they lose liveness."""
    fib = offered(client, "fib")

    def remote() -> bool:
        future = fib.submit(10)
        return future.result(20) == 55 and future.info is not None and future.info.where == "remote"

    wait_until(remote, seconds, "a probe call runs remotely")


def below(worker: RoleProcess) -> set[int]:
    """The template and children of a worker."""
    return {process.pid for process in psutil.Process(worker.pid).children(recursive=True)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_after_ctrl_c_calls_run_here_at_once_and_remotely_when_it_is_back(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        fib = offered(client, "fib")
        assert fib(20) == 6765
        assert worker.stop(signal.SIGINT) == 0
        began = time.monotonic()
        assert fib(20) == LOCAL
        assert time.monotonic() - began < 0.2
        own_cluster.start_worker()
        assert fib(20) == 6765


def test_after_kill_9_a_call_runs_here_within_two_seconds(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        fib = offered(client, "fib")
        assert fib(20) == 6765
        worker.kill()
        began = time.monotonic()
        assert fib(20) == LOCAL
        assert time.monotonic() - began < 2.0
        own_cluster.start_worker()
        assert fib(20) == 6765


@pytest.mark.parametrize(("distributor", "bound"), [(True, 1.0), (False, 2.0)])
def test_a_killed_workers_job_runs_again_on_another(
    own_cluster: Cluster, tmp_path: Path, distributor: bool, bound: float
) -> None:
    if distributor:
        own_cluster.start_distributor()
    workers = [own_cluster.start_worker(), own_cluster.start_worker()]
    with own_cluster.connect() as client:
        runs_remotely(client)
        future = offered(client, "log_run").submit(str(tmp_path), "runs", 2.0)
        runs = tmp_path / "runs"
        wait_until(lambda: runs.exists() and runs.read_text().endswith("\n"), 5, "it runs")
        child = int(runs.read_text())
        next(worker for worker in workers if child in below(worker)).kill()
        took = wait_until(lambda: len(runs.read_text().split()) == 2, 5, "it runs again")
        assert took < bound
        assert future.result(20) == "runs"
        assert future.info.attempts == 2


def test_kill_9_leaves_no_template_and_no_child(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        runs_remotely(client)
    processes = below(worker)
    assert len(processes) == 3
    worker.kill()
    wait_until(lambda: not any(alive(pid) for pid in processes), 3, "template and children are gone")


def test_a_killed_template_takes_a_child_along_that_runs_something(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        future = offered(client, "log_run").submit(str(tmp_path), "runs", 20.0)
        wait_until(lambda: (tmp_path / "runs").exists(), 5, "it runs")
        processes = below(worker)
        psutil.Process(worker.pid).children()[0].kill()
        wait_until(lambda: not any(map(alive, processes)), 3, "no one runs it any more")
        future.cancel()


def test_worker_and_template_killed_at_once_take_a_running_child_along(own_cluster: Cluster, tmp_path: Path) -> None:
    """Neither is left to end it: a system that is out of memory may choose both."""
    worker = own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        future = offered(client, "log_run").submit(str(tmp_path), "runs", 20.0)
        wait_until(lambda: (tmp_path / "runs").exists(), 5, "it runs")
        processes = below(worker)
        template = psutil.Process(worker.pid).children()[0]
        template.suspend()  # it sees nothing of its parent's death
        os.kill(worker.pid, signal.SIGKILL)
        template.kill()
        wait_until(lambda: not any(map(alive, processes)), 3, "no one runs it any more")
        future.cancel()


def test_a_killed_child_is_noticed_at_once(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        child = offered(client, "pid")()
        future = offered(client, "sleep").submit(0.5)
        other = offered(client, "sleep").submit(0.5)
        wait_until(lambda: len(own_cluster.workers[0].stderr_text()) > 0, 5, "the worker logs")
        wait_until(lambda: future.call.id and alive(child), 1, "the child lives")
        began = time.monotonic()
        os.kill(child, signal.SIGKILL)
        assert (future.result(20), other.result(20)) == (0.5, 0.5)
        assert time.monotonic() - began < 1.5


def test_a_job_survives_one_dead_template(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        future = offered(client, "log_run").submit(str(tmp_path), "runs", 1.0)
        wait_until(lambda: (tmp_path / "runs").exists(), 5, "it runs")
        psutil.Process(worker.pid).children()[0].kill()
        assert future.result(20) == "runs"
        assert (future.info.where, future.info.attempts) == ("remote", 2)
        assert worker.running
        runs_remotely(client)


def test_templates_that_die_under_batches_end_no_worker_and_lose_nothing(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker(slots=2)
    log = tmp_path / "runs"

    def runs_there() -> int:
        return len(log.read_text().split()) - log.read_text().split().count(str(os.getpid()))

    with own_cluster.connect() as client:
        log_run = simpledist.worker_function(client, "log_run", farm.log_run)
        short = [0.001] * 6000
        named = ["runs"] * len(short)
        folders = [str(tmp_path)] * len(short)
        # They are short: from now on they travel in batches.
        assert list(log_run.map(folders[:500], named[:500], short[:500])) == named[:500]
        outcomes = log_run.map(folders, named, short)
        found = [next(outcomes)]
        for _ in range(4):
            before = runs_there()
            wait_until(lambda before=before: runs_there() > before, 10, "a batch runs: an idle template's death counts")
            for template in psutil.Process(worker.pid).children():
                template.kill()
        assert [*found, *outcomes] == named
        assert worker.running
        runs_remotely(client)


def test_the_third_template_within_a_minute_that_dies_of_itself_ends_the_worker(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    for _ in range(3):
        wait_until(lambda: len(below(worker)) == 3 or not worker.running, 5, "the worker is whole again")
        template = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(worker.pid)], capture_output=True, text=True, check=True
        ).stdout.split()[0]
        os.kill(int(template), signal.SIGKILL)
        wait_until(lambda pid=int(template): not alive(pid), 5, "the template is dead")
    assert worker.wait(10) == 1


def test_a_drain_finishes_what_runs(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        future = offered(client, "sleep").submit(1.0)
        wait_until(lambda: running(own_cluster), 5, "it runs")
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: "drains" in worker.stderr_text(), 5, "the worker drains")
        began = time.monotonic()
        assert offered(client, "fib")(5) == LOCAL
        assert time.monotonic() - began < 0.3
        assert future.result(20) == 1.0
        assert future.info.where == "remote"
        assert worker.wait() == 0
        assert "Exception" not in worker.stderr_text()


def test_a_drain_gives_back_what_does_not_finish_in_grace(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker(arguments=["--grace", "0.3"])
    with own_cluster.connect() as client:
        future = offered(client, "log_run").submit(str(tmp_path), "runs", 3.0)
        wait_until(lambda: (tmp_path / "runs").exists(), 5, "it runs")
        own_cluster.start_worker()
        assert worker.stop() == 0
        assert future.result(20) == "runs"
        assert future.info.attempts == 1
        assert len((tmp_path / "runs").read_text().split()) == 2


def test_a_second_signal_stops_now_with_1(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        future = offered(client, "sleep").submit(30)
        wait_until(lambda: running(own_cluster), 5, "it runs")
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: "drains" in worker.stderr_text(), 5, "the worker drains")
        assert worker.stop(signal.SIGTERM, seconds=3) == 1
        assert future.result(20) == LOCAL
        assert future.info.why == "no_worker"


def running(cluster: Cluster) -> int:
    link = Link(cluster.url, name="tests")
    link.connect()
    try:
        names = [name.decode() for name in link.call("KEYS", Keys().named("current", "*"))]
        return sum(link.call("HLEN", name) for name in names)
    finally:
        link.close()


def test_a_dead_clients_jobs_are_dropped(own_cluster: Cluster, link: Link) -> None:
    worker = own_cluster.start_worker()
    own_cluster.start_distributor()
    program = (
        "import simpledist, sys\n"
        f"dist = simpledist.connect({own_cluster.url!r})\n"
        "sleep = simpledist.worker_function(dist, 'sleep', lambda s: 'local')\n"
        "futures = [sleep.submit(60) for _ in range(1000)]\n"
        "print('submitted', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "submitted\n"
        wait_until(lambda: running(own_cluster) == 2, 5, "two of them run")
        wait_until(lambda: link.call("ZCARD", Keys().named("queued", "sleep")) == 998, 5, "and the rest are queued")
        processes = below(worker)
        process.kill()
    queued = Keys().named("queued", "sleep")
    wait_until(lambda: not link.call("ZCARD", queued) and not running(own_cluster), 5, "nothing waits or runs for it")
    wait_until(lambda: sum(map(alive, processes)) == 1, 5, "the children that ran them are gone, their template is not")
    with own_cluster.connect() as client:
        runs_remotely(client)


# --- Redis -------------------------------------------------------------------------------------------------------


def test_without_redis_calls_run_here_and_cost_nothing(own_cluster: Cluster) -> None:
    own_cluster.redis.kill()
    with own_cluster.connect() as client:
        fib = offered(client, "fib")
        assert fib(20) == LOCAL
        began = time.monotonic()
        assert [fib(20) for _ in range(100)] == [LOCAL] * 100
        assert time.monotonic() - began < 0.3
        own_cluster.redis.start()
        own_cluster.start_worker()
        runs_remotely(client)


def test_redis_started_last_is_found_by_client_and_worker(own_cluster: Cluster) -> None:
    own_cluster.redis.kill()
    worker = own_cluster.start_worker(ready=False)
    with own_cluster.connect() as client:
        fib = offered(client, "fib")
        assert fib(20) == LOCAL
        wait_until(lambda: "waiting for Redis" in worker.stderr_text(), 10, "the worker waits")
        own_cluster.redis.start()
        runs_remotely(client)


def test_redis_killed_and_restarted_empty_under_waiting_calls(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        runs_remotely(client)
        futures = [offered(client, "sleep").submit(0.02) for _ in range(200)]
        own_cluster.redis.kill()
        own_cluster.redis.start()
        values = [future.result(30) for future in futures]
        assert values == [0.02] * 200
        assert {future.info.where for future in futures} == {"remote"}
        runs_remotely(client)


def test_a_worker_killed_just_after_redis_came_back_is_noticed_as_soon_as_any(own_cluster: Cluster) -> None:
    own_cluster.redis.kill()
    worker = own_cluster.start_worker(ready=False)
    with own_cluster.connect() as client:
        fib = offered(client, "fib")
        assert fib(20) == LOCAL
        own_cluster.redis.start()
        runs_remotely(client)
        worker.kill()
        began = time.monotonic()
        assert fib(20) == LOCAL
        assert time.monotonic() - began < 2.0


def test_redis_gone_for_good_ends_waiting_calls_here_after_its_grace(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        runs_remotely(client)
        future = offered(client, "sleep").submit(60)
        wait_until(lambda: running(own_cluster), 5, "it runs")
        own_cluster.redis.kill()
        began = time.monotonic()
        assert future.result(20) == LOCAL
        assert 4.0 < time.monotonic() - began < 7.0
        assert future.info.why == "redis_down"
        own_cluster.redis.start()
        runs_remotely(client)


def test_broken_connections_are_made_anew(own_cluster: Cluster, link: Link) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        for _ in range(5):
            futures = [offered(client, "sleep").submit(0.1) for _ in range(4)]
            link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert [future.result(20) for future in futures] == [0.1] * 4
            runs_remotely(client)


def test_flushed_scripts_are_loaded_again(own_cluster: Cluster, link: Link) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        for _ in range(5):
            link.call("SCRIPT", "FLUSH")
            runs_remotely(client, 2.0)


def test_at_most_three_connections_each(own_cluster: Cluster, link: Link) -> None:
    offers = [f"f{n}=farm:echo" for n in range(20)]
    own_cluster.start_worker(*offers)
    with own_cluster.connect() as client:
        functions = [offered(client, f"f{n}") for n in range(20)]

        def ask(thread: int) -> None:
            for n, function in enumerate(functions):
                assert function((thread, n)) == (thread, n)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(200)]
        for thread in threads:
            thread.start()
        futures = [functions[n % 20].submit(n) for n in range(1000)]
        names = [line.split(b"name=")[1].split()[0] for line in link.call("CLIENT", "LIST").splitlines()]
        for role in (b"simpledist-client", b"simpledist-worker"):
            assert 1 <= sum(name.startswith(role) for name in names) <= 3, names
        assert [future.result(30) for future in futures] == list(range(1000))
        for thread in threads:
            thread.join(60)


def test_a_flooded_function_leaves_others_their_turn(own_cluster: Cluster) -> None:
    own_cluster.start_worker("farm", slots=1)
    with own_cluster.connect() as flood, own_cluster.connect() as other:
        runs_remotely(other)
        futures = [offered(flood, "sleep").submit(0.01) for _ in range(5000)]
        waits: list[float] = []
        for _ in range(5):
            future = offered(other, "echo").submit(1)
            assert future.result(20) == 1
            assert future.info.where == "remote"
            waits.append(future.info.queued_seconds)
        # Its turn comes once 0.1 s of the flood have passed.
        assert sorted(waits)[2] < 0.5, waits
        for future in futures:
            future.cancel()
