"""docs/acl.md is true: the whole life of a cluster under its users, and ACL LOG stays empty."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from simpledist.monitor import Monitor
from tests.commands import run
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm
from tests.integration.test_cli_top import Screen
from tests.waiting import wait_until

web: Any = import_module("simpledist_web")
ROOT = Path(__file__).parents[2]
USERS = re.findall(r"^user (\w+) on >(\S+) (.*)$", (ROOT / "docs" / "acl.md").read_text(), re.MULTILINE)
LOOKS = ["status", "workers", "jobs", "errors", "doctor"]


def at_home(seconds: float) -> str:
    """What a caller runs itself, so that a local run shows."""
    return f"at home, not for {seconds} s"


class Users:
    """A server that knows the users of docs/acl.md, each without one of their rights if need be."""

    def __init__(self, server: EmbeddedRedis, *, without: str = "") -> None:
        self.link = Link(server.url)
        self.link.connect()
        self._url = server.url
        for name, password, words in USERS:
            rights = [word for word in words.split() if word != without]
            self.link.call("ACL", "SETUSER", name, "reset", "on", f">{password}", *rights)
        self.link.call("ACL", "LOG", "RESET")

    def url(self, user: str) -> str:
        password = next(password for name, password, _ in USERS if name == user)
        return self._url.replace("unix://", f"unix://{user}:{password}@")

    def refused(self) -> list[Any]:
        """What ACL LOG says."""
        return self.link.call("ACL", "LOG")


@pytest.fixture
def users(redis_version_server: EmbeddedRedis) -> Iterator[Users]:
    one = Users(redis_version_server)
    yield one
    one.link.close()


@pytest.mark.parametrize("without", ["", "+eval"], ids=["all rights", "EVALSHA only"])
def test_a_cluster_lives_under_its_users_and_nothing_is_refused(
    redis_version_server: EmbeddedRedis, without: str
) -> None:
    users = Users(redis_version_server, without=without)
    users.link.call("SCRIPT", "FLUSH")
    with ExitStack() as stack:
        stack.callback(users.link.close)
        stack.enter_context(Cluster(redis=users.url("distributor"), distributor=True, web=True))
        cluster = stack.enter_context(Cluster("farm", workers=2, slots=2, folder=FUNCTIONS, redis=users.url("worker")))
        with simpledist.connect(users.url("client")) as client:
            echo = simpledist.worker_function(client, "echo", farm.echo)
            assert list(echo.map(range(300))) == list(range(300))
            big = "x" * 200_000
            assert echo(big) == big
            fail = simpledist.worker_function(client, "fail", farm.fail)
            with pytest.raises(ValueError, match="value"):
                fail("value")
            sleep = simpledist.worker_function(client, "sleep", at_home)
            running = [sleep.submit(60.0) for _ in range(5)]
            monitor = Monitor.connect(users.url("dashboard"), keep_seconds=0)
            wait_until(lambda: len(monitor.snapshot().running) == 4, 5, "four busy slots")
            look_at_everything(users, running[0].call.id, cluster.workers[0].id)
            assert simpledist.worker_function(client, "nobody", farm.fib)(10) == 55
            called_off = running.pop()
            assert run("cancel", "--redis", users.url("client"), called_off.call.id).returncode == 0
            wait_until(lambda: monitor.snapshot().function("nobody"), 5, "the client has counted its local run")
            steer_everything(users, "nobody")
            assert all(one.cancel() for one in running)
            wait_until(lambda: not monitor.snapshot().running, 5, "the end of the cancelled jobs")
            assert "did you mean echo?" in run("call", "--redis", users.url("client"), "ecko", "1").stderr
            # After the doctor has looked, for a call that ran at its client is a finding.
            die = simpledist.worker_function(client, "die_on_worker", farm.die_on_worker)
            assert die(os.getpid()) == "at home"
            job = sleep.submit(0.5)
            wait_until(lambda: monitor.snapshot().running, 5, "its begin")
            holder = monitor.snapshot().running[0].worker
            next(one for one in cluster.workers if one.id == holder).kill()
            assert job.result(10) == 0.5
            monitor.close()
        assert next(one for one in cluster.workers if one.running).stop(signal.SIGTERM) == 0
        assert users.refused() == []


def steer_everything(users: Users, function: str) -> None:
    """Every command for operators, as a client's user."""
    for words in (["disable", function], ["enable", function], ["forget", function], ["drain", "--host", "nowhere"]):
        done = run(*words, "--redis", users.url("client"))
        assert done.returncode == (1 if "drain" in words else 0), done.stderr
        assert "refuse" not in done.stderr


def look_at_everything(users: Users, job: str, worker: str) -> None:
    """Every route of the dashboard and every command that only looks, as the dashboard's user."""
    monitor = Monitor.connect(users.url("dashboard"))
    app: Any = web.create_app(monitor)
    browser: Any = app.test_client()
    values = {"name": "sleep", "function": "sleep", "id": worker, "filename": "style.css"}
    for rule in app.url_map.iter_rules():
        chosen = {**values, "id": job} if "job" in rule.rule else values
        with app.test_request_context():
            path: str = rule.build({name: chosen[name] for name in rule.arguments})[1]
        answer = browser.get(f"{path}?functions=*" if path == "/api/scale.json" else path)
        assert answer.status_code == 200, path
        answer.close()
    assert not monitor.snapshot().redis.error
    monitor.close()
    for command in [*LOOKS, "explain"]:
        done = run(command, *(["sleep"] if command == "explain" else []), "--redis", users.url("dashboard"))
        findings = re.findall(r"^\w+\tfinding\t.*", done.stdout, re.MULTILINE)
        # The oldest Redis has known flaws.
        assert all(line.startswith("flaws\tfinding\tRedis 6.2.") for line in findings), done.stdout
        assert (done.returncode, done.stderr) == (1 if findings else 0, ""), (command, done)
    screen = Screen(users.url("dashboard"), 80, 24)
    try:
        screen.shows("ss")
        screen.press("q")
        screen.left()
    finally:
        screen.close()


@pytest.mark.parametrize("key", ["data:c-1:call", "data:c-1:result", "data:c-1:staged", "reply:c"])
def test_the_dashboards_user_reads_no_call_no_result_and_changes_nothing(users: Users, key: str) -> None:
    link = Link(users.url("dashboard"))
    link.connect()
    keys = Keys()
    try:
        for command in (("HGETALL",), ("GET",), ("LRANGE", "0", "-1"), ("TYPE",), ("PTTL",)):
            with pytest.raises(simpledist.errors.RedisRefused):
                link.call(command[0], keys.prefix + key, *command[1:])
        for command in (("DEL", keys.functions), ("HSET", keys.workers, "w", "{}"), ("EVAL", "return 1", "0")):
            with pytest.raises(simpledist.errors.RedisRefused):
                link.call(*command)
    finally:
        link.close()
