"""`simpledist-worker --tag` and `worker_function(..., needs=)`: only workers with the tags serve such calls."""

from __future__ import annotations

import asyncio
import json
import logging
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.errors import ConfigurationError
from simpledist.job import Info
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until


def wrapped(client: simpledist.Client, local: Callable[..., Any], needs: Any, **options: Any) -> Any:
    return simpledist.worker_function(client, local.__name__, local, needs=needs, **options)


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(60)
    assert future.info is not None
    return future.info


def workers_of(futures: list[simpledist.Future[Any]]) -> set[str | None]:
    return {info_of(one).worker for one in futures}


def shown(cluster: Cluster, *words: str) -> Any:
    return commands.run(*words, "--redis", cluster.url)


@pytest.mark.parametrize("way", ["call", "submit", "map", "short map", "executor", "await"])
def test_every_way_of_a_call_goes_to_the_worker_with_the_tag(own_cluster: Cluster, way: str) -> None:
    own_cluster.start_worker(slots=2)
    tagged = own_cluster.start_worker(slots=1, arguments=["--tag", "gpu", "--tag", "big"])
    with own_cluster.connect() as client:
        pid = wrapped(client, farm.pid, "gpu")
        ours = set[int]()
        if way == "call":
            ours |= {pid() for _ in range(30)}
        elif way == "submit":
            ours |= {one.result(30) for one in [pid.submit() for _ in range(60)]}
        elif way == "map":
            assert list(wrapped(client, farm.echo, "gpu").map(range(30), chunksize=1)) == list(range(30))
            ours |= {pid()}
        elif way == "short map":
            echo = wrapped(client, farm.echo, ["gpu"])
            assert list(echo.map(range(3000))) == list(range(3000))
            ours |= {pid()}
        elif way == "executor":
            with client.executor() as executor:
                ours |= {one.result(30) for one in [executor.submit(pid) for _ in range(20)]}
        else:

            async def several() -> list[int]:
                return [await pid.submit() for _ in range(10)]

            ours |= set(asyncio.run(several()))
        assert pid.stats().remote == pid.stats().calls
        assert len(ours) == 1, "one slot has the tag"
        assert workers_of([pid.submit()]) == {tagged.id}


def test_all_tags_are_needed_and_calls_without_any_go_everywhere(own_cluster: Cluster) -> None:
    both = own_cluster.start_worker(slots=1, arguments=["--tag", "gpu", "--tag", "big"])
    one = own_cluster.start_worker(slots=1, arguments=["--tag", "gpu"])
    with own_cluster.connect() as client:
        assert workers_of([wrapped(client, farm.sleep, ["gpu", "big"]).submit(0.05) for _ in range(8)]) == {both.id}
        assert workers_of([wrapped(client, farm.sleep, "gpu").submit(0.2) for _ in range(4)]) == {both.id, one.id}
        assert workers_of([wrapped(client, farm.sleep, None).submit(0.2) for _ in range(4)]) == {both.id, one.id}
        urgent = wrapped(client, farm.sleep, ("big", "gpu"), priority="high").submit(0.0)
        assert info_of(urgent).worker == both.id
        assert urgent.call.spec.lane == "sleep+big+gpu"


def test_without_the_tag_a_call_runs_here_and_the_line_names_it(
    own_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        with caplog.at_level(logging.WARNING, "simpledist"):
            needy, plain = wrapped(client, farm.echo, "gpu"), wrapped(client, farm.echo, None)
            futures = [needy.submit(n) for n in range(3)]
            assert [one.result(30) for one in futures] == [0, 1, 2]
            assert plain(4) == 4
            assert needy(5) == 5
        info = info_of(futures[0])
        assert (info.where, info.why) == ("local", "no_worker")
        assert info.detail == "no live worker that offers it has the tag gpu"
        assert (needy.stats().remote, plain.stats().remote) == (0, 1), "what is known of one is not of the other"
        line = next(one.getMessage() for one in caplog.records if "no_worker" in one.getMessage())
        assert "function echo: calls run here (no_worker): it is called with needs='gpu', and no live worker" in line
        assert f"start one with simpledist-worker {needy.spec.target} --tag gpu" in line
        assert "gpu" in repr(needy)
        tagged = own_cluster.start_worker(slots=1, arguments=["--tag", "gpu"])
        assert info_of(needy.submit(6)).worker == tagged.id
        assert client.engine.offers.slots("echo", ["gpu"]) in (0, 1)


def test_a_map_that_waits_here_goes_to_the_worker_with_the_tag_when_it_comes(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        sleep = wrapped(client, farm.sleep, "gpu")
        values = sleep.map([0.1] * 100)
        assert next(values) == 0.1
        tagged = own_cluster.start_worker(slots=4, arguments=["--tag", "gpu"])
        assert len(list(values)) == 99
        assert sleep.stats().remote > 30
        assert workers_of([sleep.submit(0.0)]) == {tagged.id}


def test_other_code_and_code_that_travels_keep_the_tag(own_cluster: Cluster, tmp_path: Path) -> None:
    for name, factor, tags in (("one", 2, []), ("two", 3, []), ("three", 3, ["--tag", "gpu"])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "coded.py").write_text(f"def times(x):\n    return x * {factor}\n")
        path = {"PYTHONPATH": str(folder)}
        worker = own_cluster.start_worker("coded:times", slots=1, arguments=tags, environment=path)
    program = (
        "import simpledist, coded\n"
        "dist = simpledist.connect()\n"
        "times = simpledist.worker_function(dist, 'times', coded.times, needs='gpu', match='code')\n"
        "for future in [times.submit(7) for _ in range(5)]:\n"
        "    print(future.result(30), future.info.worker)\n"
    )
    (tmp_path / "three" / "main.py").write_text(program)
    done = commands.python("main.py", cwd=tmp_path / "three", url=own_cluster.url)
    assert done.stdout.splitlines() == 5 * [f"21 {worker.id}"], done.stderr
    own_cluster.start_worker(slots=1, arguments=["--any"])
    tagged = own_cluster.start_worker(slots=1, arguments=["--any", "--tag", "gpu"])
    with own_cluster.connect() as client:
        away = simpledist.worker_function(client, "not_offered", operator.neg, needs="gpu")
        assert workers_of([away.submit(n) for n in range(8)]) == {tagged.id}
        nowhere = simpledist.worker_function(client, "not_offered", operator.neg, needs="tpu")
        assert info_of(nowhere.submit(1)).why == "no_worker"


def test_the_worker_with_the_tag_dies_and_the_next_one_takes_its_calls(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    first = own_cluster.start_worker(slots=1, arguments=["--tag", "gpu"])
    with own_cluster.connect() as client:
        future = wrapped(client, farm.act, "gpu").submit(str(tmp_path), "it", "wait")
        wait_until(future.running, 10, "it runs")
        second = own_cluster.start_worker(slots=1, arguments=["--tag", "gpu"])
        first.kill()
        (tmp_path / "go").touch()
        assert info_of(future).worker == second.id


def test_commands_show_the_tags_and_those_that_are_missing(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(slots=1, arguments=["--tag", "big", "--tag", "a100", "--tag", "big"])
    table = shown(own_cluster, "workers").stdout.splitlines()
    assert table[0].split("\t")[-2] == "tags"
    assert table[1].split("\t")[-2] == "a100 big"
    (row,) = json.loads(shown(own_cluster, "workers", "--json").stdout)["workers"]
    assert row["tags"] == ["a100", "big"]
    (row,) = json.loads(shown(own_cluster, "status", "--json").stdout)["workers"]
    assert row["tags"] == ["a100", "big"]
    assert f"worker {worker.id} " in (text := shown(own_cluster, "explain", "echo").stdout)
    assert ", tags a100 big" in text
    with own_cluster.connect() as client:
        assert wrapped(client, farm.echo, ["gpu", "big"])(1) == 1
    missing = "echo was called now: no live worker that offers it has the tags big and gpu that it needs"
    start = "start one with simpledist-worker MODULE:echo --tag big --tag gpu"
    lines = shown(own_cluster, "doctor").stdout
    assert "no live worker that offers it has the tags big and gpu" in lines
    assert start in lines
    status = shown(own_cluster, "status")
    assert missing.partition(":")[2] in status.stderr
    assert start in status.stderr
    (about,) = json.loads(shown(own_cluster, "explain", "echo", "--json").stdout)["functions"]
    assert about["lacking_tags"] == ["big", "gpu"]
    assert "calls that need the tags big and gpu run at their callers" in shown(own_cluster, "explain", "echo").stdout
    own_cluster.start_worker(slots=1, arguments=["--tag", "big", "--tag", "gpu"])
    assert "big and gpu" not in shown(own_cluster, "doctor").stdout
    assert "big and gpu" not in shown(own_cluster, "status").stderr


@pytest.mark.parametrize("needs", ["", "a+b", "two words", "g~", 'a"b', "x" * 33, list("abcde"), 3, [None], {"gpu": 1}])
def test_what_is_no_tag_is_refused_where_it_is_written(needs: Any) -> None:
    client = simpledist.connect("memory://")
    with pytest.raises(ConfigurationError, match=r"worker_function\('echo'\): needs=.*use a tag"):
        wrapped(client, farm.echo, needs)


def test_a_worker_refuses_what_no_caller_could_ask_for() -> None:
    done = commands.run("farm", "--tag", "a+b", module=commands.WORKER)
    assert done.returncode == 2
    assert "'a+b': use letters, digits" in commands.complaint(done)
