"""A client that runs out of descriptors or memory for threads: its calls run here, and travel again afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simpledist.cluster import Cluster
from tests.faults.conftest import ROOT

PROGRAM = """
import os, resource, sys, time, simpledist
client = simpledist.connect(sys.argv[1])
function = simpledist.worker_function(client, "work", lambda n: f"value of {n}")
pool = client.executor()
def spent(): return len(os.listdir("/proc/self/fd"))
if sys.argv[2] == "late":
    function(0)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if sys.argv[3] == "descriptors":
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) , hard))
else:
    import _thread, threading
    names = ("start_new_thread", "start_joinable_thread")
    start = {name: getattr(_thread, name) for name in names if hasattr(_thread, name)}
    def refuse(*_, **__): raise RuntimeError("can't start new thread")
    for name in start:
        setattr(_thread, name, refuse)
        setattr(threading, "_" + name, refuse)
for round in range(30):
    assert function(7) == "value of 7"
    assert function.submit(14).result(10) == "value of 14"
    assert list(function.map([21, 28])) == ["value of 21", "value of 28"]
    assert pool.submit(pow, 3, 2).result(10) == 9
if sys.argv[3] == "descriptors":
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
else:
    for name in start:
        setattr(_thread, name, start[name])
        setattr(threading, "_" + name, start[name])
end = time.monotonic() + 10
while True:
    future = function.submit(35)
    assert future.result(10) == "value of 35"
    if future.info.where == "remote":
        break
    assert time.monotonic() < end, future.info
print("remote again with", spent(), "descriptors")
"""


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("what", ["descriptors", "threads"])
def test_without_threads_or_descriptors_calls_run_here_and_travel_again(cluster: Cluster, when: str, what: str) -> None:
    cluster.start_worker()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, cluster.url, when, what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(ended.stdout.split()[-2]) < 16, "no descriptor a call is lost"
