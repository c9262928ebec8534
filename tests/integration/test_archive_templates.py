"""What a program's modules load when they are imported is loaded once a worker, and shared by all its children."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from simpledist import wire
from simpledist.cluster import Cluster
from simpledist.code.archive_format import packed
from simpledist.worker.children import Children
from simpledist.worker.launch import Preparation
from simpledist.worker.printer import Printer
from tests.programs import shown_by
from tests.waiting import wait_until

BEGIN = """
import json, os, sys, importlib, time, simpledist
from pathlib import Path
dist = simpledist.connect()
executor = dist.executor()

def show(what):
    print(json.dumps(what), flush=True)

def all_of(function, calls, lasts=0.05):
    futures = [executor.submit(function, lasts) for _ in range(calls)]
    values = [future.result(60) for future in futures]
    assert {future.info.where for future in futures} == {"remote"}, [future.info for future in futures]
    return values
"""
MODEL = """
import os, sys, time
with open(os.environ["LOADS"], "a") as file:
    file.write(f"{os.getpid()}\\n")
MODEL = object()

def who(seconds):
    time.sleep(seconds)
    return os.getpid(), os.getppid(), id(MODEL)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One worker with three slots that takes any function."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with Cluster(workers=0, slots=3, folder=empty) as cluster:
        environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "LOADS": str(tmp_path / "loads")}
        cluster.start_worker(arguments=["--any"], environment=environment)
        yield cluster


Run = Callable[..., list[Any]]


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Run:
    """Run a program beside modules of its own; return what it has shown."""

    def run(program: str, files: dict[str, str], folder: str = "project") -> list[Any]:
        environment = {"SIMPLEDIST_REDIS_URL": cluster.url, "LOADS": os.devnull}
        return shown_by(program, files, tmp_path / folder, begin=BEGIN, environment=environment)

    return run


def loads(tmp_path: Path) -> list[int]:
    """Return the processes that have imported the model on a worker."""
    path = tmp_path / "loads"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_model_at_module_level_is_loaded_once_and_shared_by_all_children(run: Run, tmp_path: Path) -> None:
    (shown,) = run("import models\nshow(all_of(models.who, 30))", {"models.py": MODEL})
    children, templates, models = (set(column) for column in zip(*shown, strict=True))
    assert len(children) == 3
    assert templates == set(loads(tmp_path))
    assert len(loads(tmp_path)) == len(models) == 1


def test_a_template_that_dies_is_replaced_and_each_call_has_its_value(run: Run, tmp_path: Path) -> None:
    shown = run(
        """
        import models, signal
        before = {template for _, template, _ in all_of(models.who, 6)}
        (template,) = before
        futures = [executor.submit(models.who, 0.2) for _ in range(6)]
        time.sleep(0.3)
        os.kill(template, signal.SIGKILL)
        values = [future.result(60) for future in futures]
        after = {template for _, template, _ in all_of(models.who, 6)}
        show([len(values), len(after), after == before])
        """,
        {"models.py": MODEL},
    )
    assert shown == [[6, 1, False]]
    assert len(loads(tmp_path)) == 2


ODD = {
    "threads": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "generators": "import random\nOWN = random.Random()\n",
    "connections": "import socket\nPAIR = socket.socketpair()\n",
}


@pytest.mark.parametrize("odd", ODD)
def test_what_copies_of_a_process_cannot_share_each_child_imports_for_itself(
    odd: str, run: Run, tmp_path: Path
) -> None:
    (shown,) = run("import models\nshow(all_of(models.who, 30))", {"models.py": ODD[odd] + MODEL})
    children = {child for child, _, _ in shown}
    assert len(children) == 3
    assert children <= set(loads(tmp_path))
    assert len(loads(tmp_path)) == 4, "a template has tried"


def test_own_random_generators_of_modules_draw_apart(run: Run) -> None:
    (shown,) = run(
        "import models\nshow(all_of(models.draw, 30))",
        {
            "models.py": "import random, time\nOWN = random.Random()\n\ndef draw(seconds):\n    time.sleep(seconds)\n"
            "    return OWN.random()\n"
        },
    )
    assert len(set(shown)) == 30


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "raise SystemExit('no')", "1 / 0"])
def test_an_import_that_fails_on_workers_alone_runs_at_its_caller(end: str, run: Run) -> None:
    source = (
        f"import os, sys\nif 'simpledist.worker.child' in sys.modules:\n    {end}\n\ndef work(x):\n    return x + 1\n"
    )
    shown = run(
        """
        import odd, sound
        for _ in range(2):
            future = executor.submit(odd.work, 1)
            show([future.result(60), future.info.where])
        future = executor.submit(sound.work, 1)
        show([future.result(60), future.info.where])
        """,
        {"odd.py": source, "sound.py": "def work(x):\n    return x + 2\n"},
    )
    assert shown == [[2, "local"], [2, "local"], [3, "remote"]]


def test_more_programs_than_there_may_be_templates_have_their_own_values(run: Run, tmp_path: Path) -> None:
    shown: dict[int, list[Any]] = {}

    def program(number: int) -> None:
        source = f"{MODEL}\n\ndef mine(_):\n    return {number}, *who(0)[:2]\n"
        shown[number] = run(
            "import models\nfor _ in range(20):\n    show(all_of(models.mine, 10, 0))",
            {"models.py": source},
            folder=f"project{number}",
        )

    threads = [threading.Thread(target=program, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown.keys() == set(range(6))
    for number, rounds in shown.items():
        assert [value for one in rounds for value, _, _ in one] == 200 * [number]


def test_they_end_with_their_worker_however_it_ends(run: Run, cluster: Cluster, tmp_path: Path) -> None:
    (worker,) = cluster.workers
    program = """
        import models
        def started(_):
            import subprocess
            process = subprocess.Popen(["sleep", "600"], start_new_session=True)
            return process.pid, *models.who(0)[:2]
        show(all_of(started, 1))
    """
    ((left,),) = run(program, {"models.py": MODEL})
    assert worker.stop() == 0
    assert not [pid for pid in left if psutil.pid_exists(pid)]
    killed = cluster.start_worker(arguments=["--any"], environment={"LOADS": str(tmp_path / "loads")})
    ((left,),) = run(program, {"models.py": MODEL})
    killed.send_signal(signal.SIGKILL)
    wait_until(lambda: not [pid for pid in left if psutil.pid_exists(pid)], 20, "nothing is left")


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    """One slot of a worker whose templates may import for a second; its template is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fns.py").write_text("def f(): pass\n")
    with Printer() as printer:
        children = Children(["fns"], 1, printer, preparation=Preparation(setup_seconds=1.0))
        children.template.start()
        children.template.await_introduction()
        try:
            yield children
        finally:
            children.stop()


def test_an_import_that_hangs_is_ended_and_calls_with_it_are_refused(
    children: Children, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = packed({"hangs.py": b"import time\ntime.sleep(600)\n"})
    path = tmp_path / f"{archive.name}.zip"
    path.write_bytes(archive.data)

    def turn() -> None:
        children.tend(time.monotonic())
        children.read_templates(range(10_000))
        children.tend_archives(time.monotonic())
        for slot in children.channels():
            if slot.channel.receive():
                children.begun(slot, time.monotonic())

    def refused() -> str:
        turn()
        for slot in children.free():
            if not children.archives.refusal(archive.name):
                children.bring(slot, archive.name, path, wire.encode_arguments("pickle", ("hangs",)), time.monotonic())
        return children.archives.refusal(archive.name)

    assert wait_until(refused, 30, "calls with it are refused") >= 1.0
    assert children.archives.refusal(archive.name) == "the import of its modules did not end within 1 s"
    assert "hangs.py" in capfd.readouterr().err, "where it hangs stands in the log"
