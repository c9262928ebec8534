"""`--setup MODULE:FUNCTION`: a worker does it once, and its children share what it has loaded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.errors import TargetError
from simpledist.worker.children import Children
from simpledist.worker.launch import Preparation
from simpledist.worker.printer import Printer
from tests.commands import WORKER, complaint, run
from tests.waiting import wait_until

TARGET = """
import os, signal, sys, threading, time

model, loaded_by = None, 0

def load():
    global model, loaded_by
    model, loaded_by = {n: str(n) for n in range(1000)}, os.getpid()
    with open("loaded", "a") as file:
        file.write(f"{os.getpid()}\\n")

def load_with_a_thread():
    load()
    threading.Thread(target=time.sleep, args=(999,), daemon=True).start()

def raises():
    raise OSError("no model on this disk")

def leaves():
    sys.exit("no licence")

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

def hangs():
    time.sleep(20)

def ask(n):
    time.sleep(0.05)
    return model[n], loaded_by, os.getpid()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.py").write_text(TARGET)
    return tmp_path


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    with Cluster("models:ask", workers=0, slots=3, folder=folder) as one:
        yield one


def ask(n: int) -> tuple[str, int, int]:
    return "here", 0, os.getpid()


def answers(cluster: Cluster) -> list[tuple[str, int, int]]:
    with cluster.connect() as client:
        asked = simpledist.worker_function(client, "ask", ask, match="name")
        futures = [asked.submit(n) for n in range(30)]
        return [future.result(30) for future in futures]


def test_it_is_done_once_and_all_children_share_it(cluster: Cluster, folder: Path) -> None:
    cluster.start_worker("models:ask", arguments=["--setup", "models:load"])
    found = answers(cluster)
    assert [one[0] for one in found] == [str(n) for n in range(30)]
    (loader,) = {one[1] for one in found}
    children = {one[2] for one in found}
    assert len(children) == 3
    assert loader not in children
    assert (folder / "loaded").read_text().split() == [str(loader)]


def test_where_it_starts_a_thread_each_child_does_it_for_itself(cluster: Cluster) -> None:
    """A fork would copy locks that the thread holds: children begin as fresh interpreters."""
    cluster.start_worker("models:ask", arguments=["--setup", "models:load_with_a_thread"])
    found = answers(cluster)
    assert [one[0] for one in found] == [str(n) for n in range(30)]
    assert all(loader == child for _, loader, child in found)


def test_a_template_that_comes_again_does_it_again(cluster: Cluster, folder: Path) -> None:
    worker = cluster.start_worker("models:ask", arguments=["--setup", "models:load"])
    template = int((folder / "loaded").read_text())
    os.kill(template, 9)
    wait_until(lambda: len((folder / "loaded").read_text().split()) == 2, 30, "another template")
    loaders = {one[1] for one in answers(cluster)}
    assert loaders == {int((folder / "loaded").read_text().split()[1])}
    assert worker.running


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models:raises"], "--setup models:raises fails: OSError: no model on this disk"),
        (["models:leaves"], "--setup models:leaves fails: SystemExit: no licence"),
        (["models:dies"], "--setup models:dies ended the process (killed by SIGKILL)"),
        (["models:nowhere"], "--setup: target models:nowhere: module models has no nowhere"),
        (["nowhere:load"], "--setup: target nowhere:load: there is no module nowhere here"),
        (["models:model"], "has no model"),
        (["models"], "'models': write MODULE:FUNCTION."),
        (["a=models:load"], "'a=models:load': write MODULE:FUNCTION."),
    ],
)
def test_what_fails_ends_the_worker_with_one_line_and_2(folder: Path, words: list[str], said: str) -> None:
    done = run("models:ask", "--redis", "redis://127.0.0.1:1/0", "--setup", *words, module=WORKER, cwd=folder)
    assert done.returncode == 2
    assert said in complaint(done)


def test_one_that_hangs_is_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    with Printer() as printer:
        preparation = Preparation(setup="models:hangs", setup_seconds=0.3)
        children = Children(["models:ask"], 1, printer, preparation=preparation)
        children.template.start()
        try:
            began = time.monotonic()
            with pytest.raises(TargetError, match=r"^--setup models:hangs did not end within 0.3 s$"):
                children.template.await_introduction()
            assert time.monotonic() - began < 15
        finally:
            children.stop()
    assert "in hangs" in capfd.readouterr().err, "where it hangs stands in the log"
