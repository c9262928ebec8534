"""A finaliser calls and closes inside a logging handler that holds a plain lock: no line waits for that lock."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simpledist.cluster import Cluster
from tests import commands
from tests.faults.conftest import MakeCluster
from tests.faults.test_reentry import ROOT, finished

# A handler whose lock is no RLock; while it is held something is collected, whose finaliser uses the client. The lines
# of simpledist go to the same handler.
PROGRAM = """
import gc, logging, sys, threading
import simpledist

url, how = sys.argv[1:]
options = {"join": True} if how == "unkeyable" else {}
client = simpledist.connect(url)
local = __import__("odd").work if how == "unkeyable" else lambda *given: "a value"
f = simpledist.worker_function(client, "work", local, **options)
if how in ("again", "closed"):
    f(7)

class Last:
    def __init__(self):
        self.circle = self
    def __del__(self):
        if how == "unserialisable":
            got.append(f(threading.Lock()))
        elif how == "unkeyable":
            got.append(f.submit(ValueError()).result())
        else:
            got.append(f(7))
            got.append(f.submit(7).result())
            got.append(next(f.map([7])))
        if how == "closed":
            client.close()

class Plain(logging.Handler):
    lock_of_its_own = threading.Lock()
    def emit(self, record):
        with self.lock_of_its_own:
            if record.name == "program":
                Last()
                gc.collect()
            lines.append(record.getMessage())

got, lines = [], []
logging.basicConfig(level=logging.INFO, handlers=[Plain()])
logging.getLogger("program").warning("the program's own")
assert got and set(got) == {"a value"}, got
client.close()
print(*lines, sep="\\n")
"""


def said(url: str, how: str, folder: Path = ROOT) -> list[str]:
    ended = finished(sys.executable, "-c", PROGRAM, url, how, seconds=30, folder=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, *others = ended.stdout.splitlines()
    assert first == "the program's own"
    return others


@pytest.mark.parametrize("how", ["first", "again", "closed"])
def test_where_no_worker_is(make_cluster: MakeCluster, how: str) -> None:
    lines = said(make_cluster().url, how)
    # Any: the listener's thread waits for the handler's lock, and a client that closes counts what came since.
    assert how != "first" or any(line.startswith("no worker is running (Redis at unix://") for line in lines)


@pytest.mark.parametrize("how", ["first", "again", "closed"])
def test_where_redis_is_not(how: str) -> None:
    url = f"redis://127.0.0.1:{commands.free_port()}/0"
    lines = said(url, how)
    assert how != "first" or any(line.startswith(f"Redis at {url} cannot be reached: ") for line in lines)


@pytest.mark.parametrize("how", ["first", "again", "closed"])
def test_where_redis_refuses_us(make_cluster: MakeCluster, how: str) -> None:
    url = make_cluster().url.replace("unix://", "unix://me:password@")
    lines = said(url, how)
    assert how != "first" or any("refuses us: it wants another user or password" in line for line in lines)


@pytest.mark.parametrize("how", ["unserialisable", "unkeyable"])
def test_where_an_argument_is_odd(tmp_path: Path, how: str) -> None:
    (tmp_path / "odd.py").write_text("def work(x): return 'a value'\n")
    with Cluster("odd", folder=tmp_path, slots=1) as cluster:
        lines = said(cluster.url, how, tmp_path)
    due = {
        "unserialisable": "function work: calls run here (unserialisable): TypeError: cannot pickle '_thread.lock' "
        "object; pass data instead of open files, locks, connections and generators",
        "unkeyable": "function work: calls like this one are neither joined nor cached: a builtins.ValueError has no "
        "canonical form",
    }
    assert lines == [due[how]]
