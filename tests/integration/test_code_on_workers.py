"""Workers tell which code they have loaded: in their row, in their offers, and part by part for people who compare."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests.commands import run
from tests.links import open_link
from tests.waiting import wait_until

KEYS = Keys()
FNS = """
import os
from helped import step
N = 1
def f(x):
    return x + step(N)
def pid():
    return os.getpid()
"""
HELPED = "def step(n):\n    return n\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the same module, the second of which gives other values."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fns.py").write_text(FNS if name == "old" else FNS.replace("N = 1", "N = 101"))
        (tmp_path / name / "helped.py").write_text(HELPED)
    return tmp_path / "old", tmp_path / "new"


@pytest.fixture
def link(redis_server: EmbeddedRedis) -> Iterator[Link]:
    with open_link(redis_server.url) as one:
        yield one


def fields(link: Link, key: str) -> dict[str, str]:
    flat = [one.decode() for one in link.call("HGETALL", key)]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def offers(link: Link, function: str) -> dict[str, tuple[str, str]]:
    found = fields(link, KEYS.named("offers", function)).items()
    return {worker: (json.loads(text)["lane"], json.loads(text)["digest"]) for worker, text in found}


def test_the_same_code_in_two_folders_has_one_lane_and_one_digest(
    redis_server: EmbeddedRedis, folders: tuple[Path, Path], link: Link
) -> None:
    (folders[1] / "fns.py").write_text("# other words\n" + FNS)
    with (
        Cluster("fns", slots=1, folder=folders[0], redis=redis_server) as one,
        Cluster("fns", slots=1, folder=folders[1], redis=redis_server) as two,
    ):
        offered = offers(link, "f")
        assert set(offered) == {one.workers[0].id, two.workers[0].id}
        ((lane, digest),) = set(offered.values())
        assert (lane, len(digest)) == ("f", 16)
        row = json.loads(fields(link, KEYS.workers)[one.workers[0].id])
        assert row["digests"]["f"] == digest


def nowhere(*_: int) -> int:
    """Stand for a function that is to run on a worker."""
    return -1


def test_calls_by_name_stay_on_the_plain_lane_and_go_on_when_its_workers_leave(
    redis_server: EmbeddedRedis, folders: tuple[Path, Path], link: Link
) -> None:
    with (
        Cluster("fns", slots=1, folder=folders[1], redis=redis_server) as newer,
        Cluster("fns", slots=1, folder=folders[0], redis=redis_server) as older,
        older.connect() as client,
    ):
        lanes = {worker: lane for worker, (lane, _) in offers(link, "f").items()}
        assert lanes[newer.workers[0].id] == "f"
        assert lanes[older.workers[0].id].startswith("f~")
        f = simpledist.worker_function(client, "f", nowhere)
        assert list(f.map(range(20))) == [x + 101 for x in range(20)]
        newer.workers[0].stop()
        assert [f(x) for x in range(5)] == [x + 1 for x in range(5)]
        offered = run("status", "--redis", redis_server.url).stdout.splitlines()
        assert [line.split("\t")[0] for line in offered[1:]] == ["f", "pid"], "statistics are the function's"


def test_fingerprint_against_a_worker_names_the_first_difference(
    redis_server: EmbeddedRedis, folders: tuple[Path, Path]
) -> None:
    with Cluster("fns", slots=1, folder=folders[0], redis=redis_server) as cluster:
        url, worker = redis_server.url, cluster.workers[0].id
        same = run("fingerprint", "fns:f", "--redis", url, "--against", worker, cwd=folders[0])
        assert (same.returncode, same.stdout.splitlines()[-1].split(" worker")[0]) == (0, "the same code on")
        other = run("fingerprint", "fns:f", "--redis", url, "--against", worker, cwd=folders[1])
        assert (other.returncode, other.stdout.splitlines()[-1].split(" on")[0]) == (1, "fns:N is other code")
        (folders[0] / "helped.py").write_text(HELPED.replace("return n", "return -n"))
        helper = run("fingerprint", "fns:f", "--redis", url, "--against", worker, cwd=folders[0])
        assert helper.stdout.splitlines()[-1].startswith("package helped is other code on worker"), helper.stdout
        nobody = run("fingerprint", "fns:f", "--redis", url, "--against", "nobody", cwd=folders[0])
        assert nobody.returncode == 2
        assert "no live worker has the id or label nobody" in nobody.stderr


def test_a_template_that_was_started_anew_tells_the_code_that_it_loaded_then(
    redis_server: EmbeddedRedis, folders: tuple[Path, Path], link: Link
) -> None:
    with Cluster("fns", slots=1, folder=folders[0], redis=redis_server) as cluster, cluster.connect() as client:
        worker = cluster.workers[0].id
        was, code = offers(link, "f")[worker], fields(link, KEYS.code(worker))
        pid = simpledist.worker_function(client, "pid", nowhere)
        (folders[0] / "fns.py").write_text(FNS.replace("N = 1", "N = 17"))
        assert offers(link, "f")[worker] == was, "what was loaded counts"
        child = pid()
        assert child > 0
        os.kill(_parent_of(child), signal.SIGKILL)
        wait_until(lambda: offers(link, "f").get(worker, was)[1] != was[1], 20, "the new template's digest")
        wait_until(lambda: fields(link, KEYS.code(worker)) != code, 10, "the parts of it")
        assert fields(link, KEYS.code(worker))["f"] == offers(link, "f")[worker][1]


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_what_stands_of_its_code_comes_back_after_redis_was_emptied(
    redis_server: EmbeddedRedis, folders: tuple[Path, Path], link: Link
) -> None:
    with Cluster("fns", slots=1, folder=folders[0], redis=redis_server) as cluster:
        key = KEYS.code(cluster.workers[0].id)
        was = fields(link, key)
        assert set(was) == {"f", "pid", "fns:f", "fns:N", "fns:pid", "package helped"}
        link.call("FLUSHALL")
        wait_until(lambda: fields(link, key) == was, 10, "it is offered again")


def test_a_child_that_imports_for_itself_and_finds_other_code_takes_no_job(
    redis_server: EmbeddedRedis, folders: tuple[Path, Path], link: Link
) -> None:
    """Where the import starts a thread, children are spawned."""
    threaded = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n" + FNS
    fns = folders[0] / "fns.py"
    fns.write_text(threaded)
    with Cluster("fns", slots=1, folder=folders[0], redis=redis_server) as cluster, cluster.connect() as client:
        pid = simpledist.worker_function(client, "pid", nowhere)
        f = simpledist.worker_function(client, "f", nowhere)
        first = pid()
        fns.write_text("# as before\n" + threaded)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pid() not in (first, -1), 20, "another child, for nothing has changed")
        assert f(1) == 2
        fns.write_text(threaded.replace("N = 1", "N = 17"))
        os.kill(pid(), signal.SIGKILL)
        wait_until(lambda: not offers(link, "f"), 20, "the worker offers nothing")
        assert f(1) == -1
        row = json.loads(fields(link, KEYS.workers)[cluster.workers[0].id])
        assert "has changed since the worker was started" in row["trouble"]
