"""What a job starts ends with its child, however it was started; after an ordinary job it stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import simpledist
from simpledist.cluster import Cluster, RoleProcess
from tests.waiting import wait_until

MODULE = '''
import multiprocessing, os, signal, subprocess, sys, time
from multiprocessing import shared_memory
from pathlib import Path

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

def note(folder, pid):
    with Path(folder, "pids").open("a") as file:
        file.write(f"{pid}\\n")

def program(folder):
    note(folder, subprocess.Popen(["sleep", "600"]).pid)

def session(folder):
    note(folder, subprocess.Popen(["sleep", "600"], start_new_session=True).pid)

def held_open(folder):
    note(folder, subprocess.Popen(["sleep", "600"], close_fds=False).pid)

def stubborn(folder):
    note(folder, subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True).pid)

def daemon(folder):
    """Twice forked, in a session of its own: no parent says whose it was."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note(folder, os.getpid())
            os.execvp("sleep", ["sleep", "600"])
        os._exit(0)
    os.wait()

def copy(folder):
    """A forked copy that goes on as Python."""
    if os.fork() == 0:
        os.setsid()
        note(folder, os.getpid())
        while True:
            time.sleep(60)

def pool(folder):
    global kept  # as loky keeps its executors
    kept = multiprocessing.get_context("fork").Pool(2)
    for pid in kept.map(_pid, range(20), chunksize=1):
        note(folder, pid)

def spawned_pool(folder):
    global kept
    kept = multiprocessing.get_context("spawn").Pool(1)
    for pid in kept.map(_pid, range(2)):
        note(folder, pid)

def _pid(_):
    time.sleep(0.01)
    return os.getpid()

def start(how, folder, seconds):
    globals()[how](folder)
    Path(folder, "started").touch()
    time.sleep(seconds)
    return how

def start_and_die(how, folder, sign):
    globals()[how](folder)
    os.kill(os.getpid(), sign)

def share(folder):
    """A pool of loky, whose processes share memory."""
    from joblib import Parallel, delayed
    global memory
    memory = shared_memory.SharedMemory(create=True, size=4096)
    Path(folder, "shared").write_text(f"{memory.name} {os.getpid()}")
    for pid in Parallel(2)(delayed(_pid)(n) for n in range(4)):
        note(folder, pid)
    Path(folder, "started").touch()
    time.sleep(600)

def use_pool(n):
    with multiprocessing.get_context("fork").Pool(2) as own:
        return sum(own.map(abs, range(n)))

def echo(value):
    return value
'''
WAYS = ["program", "session", "held_open", "daemon", "copy", "pool", "spawned_pool"]


def here(*_: Any) -> Any:
    return "here"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "starting.py").write_text(MODULE)
    with Cluster("starting", workers=0, slots=1, folder=tmp_path) as one:
        yield one


def offered(client: simpledist.Client, name: str, **options: Any) -> Any:
    return simpledist.worker_function(client, name, here, **options)


def pids(folder: Path) -> set[int]:
    return {int(line) for line in (folder / "pids").read_text().split()}


def alive(some: set[int]) -> set[int]:
    return set(filter(_lives, some))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it may end between two looks
        return False


def begun(client: simpledist.Client, how: str, folder: Path, **options: Any) -> Any:
    future = offered(client, "start", **options).submit(how, str(folder), 600.0)
    # A forked copy notes its own number, perhaps after its original has gone on: the file may be there, and empty.
    noted = lambda: (folder / "started").exists() and (folder / "pids").exists() and pids(folder)  # noqa: E731
    wait_until(lambda: noted() or future.done(), 20, "it has started something")
    assert alive(pids(folder)) == pids(folder)
    return future


def cancelled(future: Any, worker: RoleProcess) -> None:
    assert future.cancel()


def killed(future: Any, worker: RoleProcess) -> None:
    worker.kill()


def drained(future: Any, worker: RoleProcess) -> None:
    assert worker.stop(signal.SIGTERM) == 0


def template_killed(future: Any, worker: RoleProcess) -> None:
    psutil.Process(worker.pid).children()[0].kill()


@pytest.mark.parametrize("end", [cancelled, killed, drained, template_killed])
@pytest.mark.parametrize("how", WAYS)
def test_what_a_job_started_ends_with_its_child(
    cluster: Cluster, tmp_path: Path, how: str, end: Callable[[Any, RoleProcess], None]
) -> None:
    worker = cluster.start_worker(arguments=["--grace", "0.2"])
    with cluster.connect() as client:
        future = begun(client, how, tmp_path)
        started = pids(tmp_path)
        end(future, worker)
        wait_until(lambda: not alive(started), 5, "what it started is gone")
        future.cancel()


@pytest.mark.parametrize("end", [killed, drained])
def test_what_a_target_started_at_its_import_ends_with_the_worker(
    cluster: Cluster, tmp_path: Path, end: Callable[[Any, RoleProcess], None]
) -> None:
    (tmp_path / "importing.py").write_text(
        "import subprocess\n"
        "from pathlib import Path\n"
        "Path('pids').write_text(str(subprocess.Popen(['sleep', '600'], start_new_session=True).pid))\n"
        "def f(): pass\n"
    )
    worker = cluster.start_worker("importing")
    started = pids(tmp_path)
    assert alive(started) == started
    end(None, worker)
    wait_until(lambda: not alive(started), 5, "what it started is gone")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("how", ["program", "daemon"])
def test_what_a_job_started_ends_where_its_child_dies(
    cluster: Cluster, tmp_path: Path, how: str, sign: signal.Signals
) -> None:
    cluster.start_worker()
    with cluster.connect() as client:
        assert offered(client, "start_and_die")(how, str(tmp_path), int(sign)) == "here"
    wait_until(lambda: not alive(pids(tmp_path)), 5, "what it started is gone")


@pytest.mark.parametrize("how", ["program", "daemon"])
def test_what_a_job_started_ends_where_its_budget_is_spent(cluster: Cluster, tmp_path: Path, how: str) -> None:
    cluster.start_worker()
    with cluster.connect() as client:
        assert begun(client, how, tmp_path, timeout=1.0).result(20) == "here"
        wait_until(lambda: not alive(pids(tmp_path)), 5, "what it started is gone")


def test_what_a_job_started_ends_where_its_child_is_recycled(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker(arguments=["--recycle", "1"])
    with cluster.connect() as client:
        assert offered(client, "start")("daemon", str(tmp_path), 0.5) == "daemon"
        wait_until(lambda: not alive(pids(tmp_path)), 5, "what it started is gone")


def test_what_does_not_end_by_sigterm_is_killed_after_two_seconds(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.start_worker()
    with cluster.connect() as client:
        future = begun(client, "stubborn", tmp_path)
        (one,) = pids(tmp_path)
        wait_until(lambda: "1" in ignored(one), 5, "it ignores SIGTERM")
        assert future.cancel()
        assert wait_until(lambda: not alive({one}), 6, "it is gone") > 1.5
        assert worker.running


def ignored(pid: int) -> str:
    """The signals from SIGTERM's on that it ignores, as the digit of their mask."""
    mask = int(Path(f"/proc/{pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
    return str(mask >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("how", ["program", "daemon", "pool"])
def test_after_an_ordinary_job_it_stays(cluster: Cluster, tmp_path: Path, how: str) -> None:
    worker = cluster.start_worker()
    with cluster.connect() as client:
        assert offered(client, "start")(how, str(tmp_path), 0.5) == how
        for n in range(50):
            assert offered(client, "echo")(n) == n
        assert alive(pids(tmp_path)) == pids(tmp_path)
        assert worker.stop(signal.SIGTERM) == 0
    wait_until(lambda: not alive(pids(tmp_path)), 5, "it ends with the worker")


def test_other_childrens_programs_are_left_alone(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker(slots=2)
    folders = [tmp_path / name for name in ("one", "two")]
    with cluster.connect() as client:
        for folder in folders:
            folder.mkdir()
        futures = [begun(client, "daemon", folder) for folder in folders]
        assert futures[0].cancel()
        wait_until(lambda: not alive(pids(folders[0])), 5, "what the first started is gone")
        assert alive(pids(folders[1])) == pids(folders[1])
        assert futures[1].cancel()
        wait_until(lambda: not alive(pids(folders[1])), 5, "what the second started is gone")


@pytest.mark.parametrize("end", [cancelled, killed, drained])
def test_shared_memory_of_a_killed_pool_does_not_stay(
    cluster: Cluster, tmp_path: Path, end: Callable[[Any, RoleProcess], None]
) -> None:
    worker = cluster.start_worker(arguments=["--grace", "0.2"])
    with cluster.connect() as client:
        future = offered(client, "share").submit(str(tmp_path))
        wait_until(lambda: (tmp_path / "started").exists(), 30, "its pool works")
        # Its own block, and what loky and joblib name after the process that made it.
        names = (tmp_path / "shared").read_text().split()
        assert shared(names)
        end(future, worker)
        wait_until(lambda: not shared(names), 8, "its shared memory is gone")
        future.cancel()


def shared(names: list[str]) -> list[str]:
    return [one for one in os.listdir("/dev/shm") if any(name in one for name in names)]


def test_a_job_may_use_a_pool_as_any_program(cluster: Cluster) -> None:
    cluster.start_worker()
    with cluster.connect() as client:
        future = offered(client, "use_pool").submit(10)
        assert future.result(20) == 45
        assert future.info.where == "remote"


def test_a_program_that_a_job_starts_gets_no_descriptor_of_ours(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker()
    with cluster.connect() as client:
        future = begun(client, "held_open", tmp_path)
        (one,) = pids(tmp_path)
        held = {os.readlink(entry) for entry in Path(f"/proc/{one}/fd").iterdir()}
        assert not [name for name in held if name.startswith(("socket:", "/memfd:"))]
        assert future.cancel()


def test_hundreds_of_replaced_children_leave_nothing(cluster: Cluster) -> None:
    worker = cluster.start_worker(slots=2, arguments=["--recycle", "1"])
    with cluster.connect() as client:
        echo = offered(client, "echo")

        template = psutil.Process(worker.pid).children()[0]

        def serve(times: int) -> tuple[int, int, int]:
            assert list(echo.map(range(times))) == list(range(times))
            wait_until(lambda: len(template.children()) == 2, 10, "only the children of today are there")
            return psutil.Process(worker.pid).num_fds(), template.num_fds(), template.memory_info().rss

        fds, template_fds, resident = serve(100)
        assert serve(400)[2] - resident < 1_000_000
        # For a moment it may have one more, when it looks for what a child has left.
        wait_until(lambda: template.num_fds() <= template_fds, 10, "the template holds no more descriptors")
        # When they were counted a child may have been on its way: a few more. Of 400 children each may leave none.
        wait_until(lambda: psutil.Process(worker.pid).num_fds() <= fds + 20, 10, "nor does its parent")
    assert "died" not in worker.stderr_text()


def test_a_child_killed_at_once_is_no_death_that_gets_lost(cluster: Cluster) -> None:
    """Also where it dies before its parent knows its number."""
    worker = cluster.start_worker(slots=2)
    template = psutil.Process(worker.pid).children()[0]
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        for child in template.children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has got the last signal by now
                child.kill()
    with cluster.connect() as client:
        echo = offered(client, "echo")
        wait_until(
            lambda: [f.result(20) for f in [echo.submit(n) for n in range(20)]] == list(range(20)), 30, "it serves"
        )


def test_the_programs_of_a_killed_worker_end_though_its_template_was_stopped(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.start_worker()
    with cluster.connect() as client:
        future = begun(client, "daemon", tmp_path)
        template = psutil.Process(worker.pid).children()[0]
        template.suspend()
        worker.kill()
        template.resume()
        wait_until(lambda: not alive(pids(tmp_path)), 5, "what it started is gone")
        wait_until(lambda: not template.is_running(), 5, "and the template")
        future.cancel()


def test_a_number_that_came_again_is_never_signalled(tmp_path: Path) -> None:
    """The mark decides, not the number: a process of somebody else that stands at the same place is left alone."""
    program = (
        "import os, subprocess, sys, time\n"
        "from simpledist.worker import mark\n"
        "from simpledist.worker.remains import Remains\n"
        "token = mark.new_token()\n"
        "other = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "mark.put_on(token, 5)\n"
        "own = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "mark.put_on(token, 6)\n"
        "remains = Remains(token)\n"
        "remains.add(5, 0, 0.0)\n"
        "assert remains.look(time.monotonic())\n"
        "assert own.wait(5) == -9, own.returncode\n"
        "assert other.poll() is None\n"
        "other.kill()\n"
        "other.wait()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
