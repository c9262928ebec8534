"""docs/acl.md is true: the whole life of a cluster under its users, and ACL LOG stays empty."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
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
    """A server that knows the users of docs/acl.md."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self.link = Link(server.url)
        self.link.connect()
        self._url = server.url
        for name, password, words in USERS:
            self.link.call("ACL", "SETUSER", name, "reset", "on", f">{password}", *words.split())
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


def test_a_cluster_lives_under_its_users_and_nothing_is_refused(users: Users) -> None:
    with Cluster("farm", workers=2, slots=2, folder=FUNCTIONS, redis=users.url("worker")) as cluster:
        distributor = Cluster(redis=users.url("distributor"), distributor=True, web=True)
        with distributor, simpledist.connect(users.url("client")) as client:
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
        answer = browser.get(path)
        assert answer.status_code == 200, path
        answer.close()
    assert not monitor.snapshot().redis.error
    monitor.close()
    for command in LOOKS:
        done = run(command, "--redis", users.url("dashboard"))
        assert (done.returncode, done.stderr) == (0, ""), (command, done)
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
