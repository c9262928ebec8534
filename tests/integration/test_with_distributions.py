"""`simpledist-worker --any --with pandas`: what calls need is installed once, whole or not at all, for all workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest

from simpledist.cluster import Cluster
from tests.commands import WORKER, complaint, python, run
from tests.waiting import wait_until
from tests.wheels import installed, wheel

FARAWAY = {"faraway.py": "import nearby\n\ndef double(n):\n    return nearby.TWO * n\n"}
NEARBY = {"nearby/__init__.py": "TWO = 2\n"}
PROGRAM = """
import faraway, simpledist
import own

with simpledist.connect() as client:
    executor = client.executor()
    for n in range(3):
        future = executor.submit(own.work, n)
        print(future.result(30), future.info.where)
    print(executor.submit(own.places).result(30))
    print(executor.submit(own.redis_there).result(30))
"""
OWN = """
import faraway

def work(n):
    return faraway.double(n)

def places():
    import cloudpickle
    return "distributions" in faraway.__file__, "distributions" in cloudpickle.__file__

def redis_there():
    import redis
    return redis.__file__ is None or "distributions" in redis.__file__
"""


@pytest.fixture
def index(tmp_path: Path) -> dict[str, str]:
    """Return the variables by which pip knows two distributions and no index; there is no uv on the path."""
    wheels = tmp_path / "wheels"
    wheel(wheels, "far-away", "1.2", FARAWAY, requires=("near-by>=1",))
    wheel(wheels, "near-by", "1.0", NEARBY)
    wheel(wheels, "cloudpickle", "2.0", {"cloudpickle.py": ""})
    path = os.pathsep.join(
        one for one in os.environ["PATH"].split(os.pathsep) if not os.access(os.path.join(one, "uv"), os.X_OK)
    )
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": path,
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "empty").mkdir()
    with Cluster(workers=0, slots=2, folder=tmp_path / "empty") as one:
        yield one


def kept(tmp_path: Path) -> list[str]:
    """Return what is in the cache folder, but for locks."""
    folder = tmp_path / "cache" / "simpledist" / "distributions"
    return sorted(one.name for one in folder.glob("*") if one.suffix != ".lock")


def values(cluster: Cluster, tmp_path: Path) -> list[str]:
    """Run the program, at which both are installed in another way."""
    site = installed(tmp_path / "site", "far-away", "1.2", FARAWAY)
    installed(site, "near-by", "1.0", NEARBY)
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "own.py").write_text(OWN)
    (project / "main.py").write_text(f"import sys; sys.path.append({str(site)!r})\n{PROGRAM}")
    done = python("main.py", cwd=project, url=cluster.url)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_functions_find_what_was_installed_and_the_worker_keeps_its_own(
    cluster: Cluster, tmp_path: Path, index: dict[str, str]
) -> None:
    worker = cluster.start_worker(arguments=["--any", "--with", "far-away>=1,<2"], environment=index)
    assert values(cluster, tmp_path) == ["0 remote", "2 remote", "4 remote", "(True, False)", "False"]
    assert "pip installs far-away>=1,<2 into " in worker.stderr_text()
    (row,) = json.loads(run("workers", "--json", "--redis", cluster.url).stdout)["workers"]
    ours = metadata.version("cloudpickle")
    assert row["distributions"].items() >= {("far-away", "1.2"), ("near-by", "1.0"), ("cloudpickle", ours)}
    assert worker.stop() == 0
    # The next one needs no installer any more, nor the wheels.
    shutil.rmtree(tmp_path / "wheels")
    worker = cluster.start_worker(arguments=["--any", "--with", "far-away>=1,<2"], environment=index)
    assert values(cluster, tmp_path)[0] == "0 remote"
    assert "is installed in " in worker.stderr_text()
    assert len(kept(tmp_path)) == 1


def test_a_requirements_file_with_files_beside_it_and_simpledist_itself(
    cluster: Cluster, tmp_path: Path, index: dict[str, str]
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "all.txt").write_text(
        "# of our program\nsimpledist[embedded]>=99  # stays the worker's own\n-r more.txt\n-c bounds.txt\n"
    )
    (tmp_path / "deploy" / "more.txt").write_text("../wheels/far_away-1.2-py3-none-any.whl\nnear-by \\\n  >=0\n")
    (tmp_path / "deploy" / "bounds.txt").write_text("near-by==1.0\n")
    cluster.start_worker(arguments=["--any", "--requirements", str(tmp_path / "deploy" / "all.txt")], environment=index)
    assert values(cluster, tmp_path)[:3] == ["0 remote", "2 remote", "4 remote"]


StartAlone = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_alone() -> Iterator[StartAlone]:
    """Start workers that find no Redis; the test ends those that go on."""
    started: list[subprocess.Popen[str]] = []

    def start(index: Mapping[str, str], *words: str, cwd: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", WORKER, "--redis", "redis://127.0.0.1:1/0", "--any", *words]
        environment = {**os.environ, **index}
        started.append(subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        with one:  # closes its pipe, and waits for it
            one.kill()


# An installer that waits where the test says so, and is called as pip is.
SLOW_PIP = """
import os, pathlib, sys, time
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
(target / "half.py").write_text("")
with open(os.environ["LOG"], "a") as log:
    log.write(f"{os.getpid()}\\n")
print("half", flush=True)
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.01)
(target / "whole.py").write_text("")
"""


@pytest.fixture
def slow(tmp_path: Path, index: dict[str, str]) -> dict[str, str]:
    """Return the variables by which a program of ours stands in the place of uv."""
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text(f"#!{sys.executable}\n{SLOW_PIP}")
    uv.chmod(0o700)
    path = os.pathsep.join((str(tmp_path / "bin"), index["PATH"]))
    return {**index, "PATH": path, "GO": str(tmp_path / "go"), "LOG": str(tmp_path / "log")}


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read what a worker writes until a line has these words; one that does not write them is killed."""
    assert process.stderr is not None
    text = ""
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        for line in process.stderr:
            text += line
            if words in line:
                return text
    finally:
        timer.cancel()
    raise AssertionError(f"it ended before {words!r}:\n{text}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_start_that_is_killed_leaves_no_half_environment(
    tmp_path: Path, start_alone: StartAlone, slow: dict[str, str], number: signal.Signals
) -> None:
    first = start_alone(slow, "--with", "far-away", cwd=tmp_path)
    read_until(first, "half")
    first.send_signal(number)
    first.communicate(timeout=30)
    installer = int((tmp_path / "log").read_text())
    if sys.platform == "linux":
        wait_until(lambda: not os.path.exists(f"/proc/{installer}"), 10, "its installer is gone")
    assert all(one.endswith(".part") for one in kept(tmp_path))
    (tmp_path / "go").touch()
    second = start_alone(slow, "--with", "far-away", cwd=tmp_path)
    read_until(second, "offers")
    (folder,) = kept(tmp_path)
    assert not folder.endswith(".part")
    inside = tmp_path / "cache" / "simpledist" / "distributions" / folder
    assert {one.name for one in inside.iterdir()} >= {"half.py", "whole.py"}


def test_two_workers_at_once_share_one_installation(
    tmp_path: Path, start_alone: StartAlone, slow: dict[str, str]
) -> None:
    both = [start_alone(slow, "--with", "far-away", cwd=tmp_path) for _ in range(2)]
    log = tmp_path / "log"
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"), 30, "one installs")
    installer = int(log.read_text())
    if sys.platform == "linux":
        parent = int(Path(f"/proc/{installer}/stat").read_text().rpartition(")")[2].split()[1])
        both.sort(key=lambda one: one.pid != parent)
    read_until(both[1], "waiting for it")
    (tmp_path / "go").touch()
    for one in both:
        read_until(one, "offers")
    assert len(log.read_text().split()) == 1
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--any", "--with", ""], "--with '': name distributions with commas between them"),
        (["--any", "--with", "pandas,,numpy"], "name distributions with commas between them"),
        (["--any", "--with", "--index-url=http://x"], "names no distribution; paths and options belong into a file"),
        (["--any", "--with", "./here"], "names no distribution"),
        (["fns", "--with", "pandas"], "mean nothing without --any"),
        (["--any", "--requirements", "nowhere.txt"], "nowhere.txt cannot be read: No such file or directory"),
        (["--any", "--requirements", "empty.txt"], "it names no distribution"),
        (["--any", "--requirements", "loop.txt"], "includes itself"),
        (["--any", "--requirements", "beyond.txt"], "nowhere.txt cannot be read: No such file"),
        (["--any", "--requirements", "editable.txt"], "nothing editable can be installed for workers"),
        (["--any", "--requirements", "folder.txt"], "only a wheel can be named by its path"),
        (["--any", "--requirements", "binary.txt"], "cannot be read: it is no text"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    for name, text in {
        "empty.txt": "# nothing\n--index-url http://x\n",
        "loop.txt": "-r loop.txt\n",
        "beyond.txt": "-r nowhere.txt\n",
        "editable.txt": "-e .\n",
        "folder.txt": ".\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    done = run(*words, module=WORKER, cwd=tmp_path)
    assert done.returncode == 2
    assert said in complaint(done)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "nowhere-to-be",
            "pip cannot install them: No matching distribution found for nowhere-to-be",
        ),
        ("far-away==7", "pip cannot install them: No matching distribution found for far-away==7"),
        ("far-away===", "pip cannot install them: "),
        ("cloudpickle==2.0", "pip cannot install them: "),
    ],
)
def test_what_cannot_be_installed_ends_the_worker_with_one_line_and_2(
    tmp_path: Path, start_alone: StartAlone, index: dict[str, str], named: str, said: str
) -> None:
    process = start_alone(index, "--with", named, cwd=tmp_path)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 2, text
    assert said in text.splitlines()[-1]
    assert kept(tmp_path) == []


def test_without_an_installer_it_says_what_it_needs(
    tmp_path: Path, start_alone: StartAlone, index: dict[str, str]
) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(
        "import importlib.util as u\nold = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pip' else old(name, *rest)\n"
    )
    process = start_alone({**index, "PYTHONPATH": str(tmp_path / "block")}, "--with", "far-away", cwd=tmp_path)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 2, text
    assert "need uv on the PATH, or pip in this Python" in text
