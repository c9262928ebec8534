"""The rows of the README's table that need a cluster of their own: jobs that kill workers, a Redis that refuses us."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link, scripts
from simpledist.broker.keys import PERMANENT
from simpledist.cluster import Cluster
from tests.faults.proxy import Proxy
from tests.waiting import wait_until

LOCAL = "local"
KEYS = Keys()


def offered(client: simpledist.Client, name: str, local: Any = None, **options: Any) -> Any:
    return simpledist.worker_function(client, name, local or (lambda *_, **__: LOCAL), **options)


def outcome(future: simpledist.Future[Any]) -> tuple[Any, str, str | None]:
    value = future.result(30)
    assert future.info is not None
    return value, future.info.where, future.info.why


def who_runs_it(folder: str, name: str, seconds: float) -> int:
    return os.getpid()


def test_a_job_under_which_three_workers_vanish_runs_in_a_throw_away_child(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    log = tmp_path / "runs"
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        future = offered(client, "log_run", who_runs_it).submit(str(tmp_path), "runs", 60.0)
        for death in range(1, 4):
            wait_until(lambda n=death: log.exists() and len(log.read_text().split()) == n, 10, "it runs")
            if death < 3:
                own_cluster.start_worker(slots=1)
            own_cluster.workers[death - 1].kill()
        pid, where, why = outcome(future)
        assert (where, why) == ("local", "lost")
        assert pid != os.getpid()


def test_a_function_that_raises_is_never_run_again(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        future = offered(client, "log_and_raise").submit(str(tmp_path), "runs")
        with pytest.raises(ValueError, match="as it should"):
            future.result(30)
        assert future.info.where == "remote"
        assert len((tmp_path / "runs").read_text().split()) == 1


def test_a_version_runs_on_workers_that_offer_it(own_cluster: Cluster) -> None:
    own_cluster.start_worker("farm:fib@3")
    with own_cluster.connect() as client:
        future = offered(client, "fib", version=3).submit(10)
        assert outcome(future) == (55, "remote", None)
        assert future.info is not None
        assert future.info.version == "3"
        assert outcome(offered(client, "fib").submit(10)) == (LOCAL, "local", "no_worker")


def test_a_nested_call_works_on_a_worker_with_one_slot(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        assert outcome(offered(client, "nested").submit(10)) == ((55, "nested"), "remote", None)


def test_arguments_that_a_worker_cannot_read_are_used_here(
    own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("only_at_the_client")
    exec("class Thing:\n    pass\n", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_at_the_client", module)
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        assert outcome(offered(client, "echo").submit(module.Thing())) == (LOCAL, "local", "undecodable")
        assert outcome(offered(client, "echo").submit(1)) == (1, "remote", None)


def test_a_result_that_the_client_cannot_read_is_computed_here(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        assert outcome(offered(client, "thing").submit()) == (LOCAL, "local", "undecodable")


def test_a_keyboard_interrupt_in_a_child_is_the_clusters_trouble(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        assert outcome(offered(client, "fail").submit("interrupt")) == (LOCAL, "local", "worker_error")


# --- a Redis that refuses us -------------------------------------------------------------------------------------


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_a_wrong_password_keeps_calls_here_with_one_error_in_the_log(
    own_cluster: Cluster, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    own_cluster.start_worker()
    link.call("CONFIG", "SET", "requirepass", "secret")
    try:
        with own_cluster.connect() as client:
            for _ in range(5):
                assert outcome(offered(client, "fib").submit(10)) == (LOCAL, "local", "redis_refused")
        assert len(errors(caplog)) == 1
        assert "refuses us" in errors(caplog)[0]
        assert "secret" not in caplog.text
    finally:
        link.call("CONFIG", "SET", "requirepass", "")


@pytest.mark.leaves_keys
def test_a_foreign_value_at_a_key_of_the_namespace_keeps_calls_here_until_it_is_gone(
    own_cluster: Cluster, link: Link
) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        fib = offered(client, "fib")
        assert fib(10) == 55
        link.call("DEL", KEYS.clients)
        link.call("SET", KEYS.clients, "foreign")
        assert outcome(fib.submit(10)) == (LOCAL, "local", "redis_refused")
        link.call("DEL", KEYS.clients)
        wait_until(lambda: fib(10) == 55, 10, "calls run remotely again")


def test_a_full_redis_keeps_calls_here_and_what_runs_comes_back(own_cluster: Cluster, link: Link) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        running = offered(client, "sleep").submit(0.5)
        wait_until(lambda: link.call("HLEN", KEYS.named("current", "sleep")) == 1, 10, "it runs")
        link.call("CONFIG", "SET", "maxmemory", "1")
        assert outcome(offered(client, "fib").submit(10)) == (LOCAL, "local", "redis_refused")
        assert outcome(running)[1:] == ("remote", None)
        link.call("CONFIG", "SET", "maxmemory", "0")
        wait_until(lambda: offered(client, "fib")(10) == 55, 10, "calls run remotely again")


@pytest.mark.parametrize(
    ("refuse", "allow"),
    [
        ("CONFIG SET requirepass secret", "CONFIG SET requirepass"),
        ("ACL SETUSER default -eval -evalsha", "ACL SETUSER default +@all"),
    ],
)
def test_an_idle_worker_whom_redis_refuses_for_a_while_comes_back(
    own_cluster: Cluster, link: Link, refuse: str, allow: str
) -> None:
    """The first: connections are refused. The second: they are made, and what comes over them is refused."""
    worker = own_cluster.start_worker()

    def refused() -> int:
        text = link.call("INFO", "errorstats").decode()
        return sum(int(count) for count in re.findall(r"errorstat_NO(?:AUTH|PERM):count=(\d+)", text))

    link.call(*refuse.split())
    try:
        link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(lambda: refused() >= 5 or not worker.running, 15, "it was refused again and again")
        assert worker.running, worker.stderr_text()
        assert worker.stderr_text().count("refuses us") == 1
    finally:
        link.call(*allow.split(), *[""] * allow.endswith("requirepass"))
    with own_cluster.connect() as client:
        wait_until(lambda: offered(client, "fib")(10) == 55, 10, "calls run on it again")
    assert worker.running


def test_a_worker_whom_redis_refuses_right_after_its_first_heartbeat_comes_back(
    own_cluster: Cluster, link: Link
) -> None:
    """Redis took it: from then on a refusal is something that may be repaired, and no reason to end."""
    link.call("SCRIPT", "LOAD", scripts.load()["beat"].text)  # so that the first answer is no "NOSCRIPT"
    refused = threading.Event()
    with Proxy(own_cluster.url) as proxy:
        proxy.strike("beat", "delay", seconds=30, until=refused)
        worker = own_cluster.start_worker(arguments=["--redis", proxy.url], ready=False)
        wait_until(lambda: link.call("HLEN", KEYS.workers) == 1, 15, "Redis took it")
        proxy.strike("INFO", "cut")  # which it asks for next
        link.call("ACL", "SETUSER", "default", "-eval", "-evalsha")
        refused.set()
        try:
            wait_until(lambda: "refuses us" in worker.stderr_text() or not worker.running, 15, "it was refused")
            assert worker.running, worker.stderr_text()
            assert proxy.struck == ["beat", "INFO"]
        finally:
            link.call("ACL", "SETUSER", "default", "+@all")
        with own_cluster.connect() as client:
            wait_until(lambda: offered(client, "fib")(10) == 55, 10, "calls run on it")
        text = worker.stderr_text()
        assert text.count("is ready") == 1, text
        worker.stop()


# --- after work --------------------------------------------------------------------------------------------------


def test_after_ten_thousand_calls_nothing_is_left_for_longer_than_two_minutes(own_cluster: Cluster, link: Link) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        assert list(offered(client, "echo").map(range(10_000))) == list(range(10_000))
    lasting: list[str] = []

    def all_will_go() -> bool:
        names = [name.decode() for name in link.call("KEYS", "*") if KEYS.template_of(name.decode()) not in PERMANENT]
        ttls = link.pipeline([("PTTL", name) for name in names])
        lasting[:] = [name for name, ttl in zip(names, ttls, strict=True) if not -2 <= ttl <= 121_000 or ttl == -1]
        lasting[:] = [name for name in lasting if not name.startswith((*HISTORY, CODE))]
        return not lasting

    wait_until(all_will_go, 10, f"the end of {lasting}")


# What code the worker has loaded, which it tells again each hour while it lives.
CODE = KEYS.named("code", "")
# Statistics stay for a day, bounded by the number of functions.
HISTORY = tuple(KEYS.named(template, "") for template in ("history", "recent", "failures", "pulse"))


def test_a_with_block_waits_for_its_calls_and_one_that_raises_gives_them_up(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        future = offered(client, "sleep").submit(0.3)
    assert future.done()
    assert outcome(future) == (0.3, "remote", None)

    def program(futures: list[Any]) -> None:
        with own_cluster.connect() as client:
            futures.append(offered(client, "sleep").submit(60))
            raise ZeroDivisionError

    futures: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        program(futures)
    assert futures[0].cancelled()
