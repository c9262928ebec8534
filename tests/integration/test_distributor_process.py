"""The distributor as a process: what it refuses to start with, how it waits, works and stops; any number of them."""

from __future__ import annotations

import json
import platform
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster, RoleProcess
from simpledist.embedded import HOST, EmbeddedRedis
from tests.commands import DISTRIBUTOR, complaint, free_port, run
from tests.links import open_link
from tests.waiting import wait_until


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_host_off_loopback_without_a_token_is_one_line_and_exit_code_2(host: str) -> None:
    done = run("--host", host, "--port", str(free_port()), module=DISTRIBUTOR)
    assert "SIMPLEDIST_WEB_TOKEN_FILE" in complaint(done)
    assert done.returncode == 2


@pytest.mark.parametrize(("token", "expected"), [("short", "32 characters"), (None, "No such file")])
def test_a_token_that_will_not_do_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, expected: str
) -> None:
    file = tmp_path / "token"
    if token is not None:
        file.write_text(token)
    line = [sys.executable, "-m", DISTRIBUTOR, "--host", "0.0.0.0", "--port", str(free_port())]
    monkeypatch.setenv("SIMPLEDIST_WEB_TOKEN_FILE", str(file))
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=30)
    assert expected in complaint(done)
    assert done.returncode == 2


def test_a_port_that_is_taken_is_one_line_and_exit_code_2() -> None:
    with socket.create_server((HOST, 0)) as other:
        done = run("--port", str(other.getsockname()[1]), module=DISTRIBUTOR)
    assert "Address already in use" in complaint(done)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("module", "expected"),
    [("raise ImportError('no Flask here')", "no Flask here"), ("", "create_app"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_dashboard_that_cannot_be_made_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_server: EmbeddedRedis, module: str, expected: str
) -> None:
    (tmp_path / "simpledist_web.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    port = str(free_port())
    done = run("--log-level", "error", "--redis", redis_server.url, "--port", port, module=DISTRIBUTOR)
    assert expected in complaint(done)
    assert "--no-web" in complaint(done)
    assert done.returncode == 2


def test_a_redis_that_refuses_us_is_said_and_waited_for(redis_server: EmbeddedRedis) -> None:
    """Somebody may be about to repair it: clients and workers have the duties, too."""
    link = Link(redis_server.url)
    link.connect()
    link.call("CONFIG", "SET", "requirepass", "secret")
    try:
        line = [sys.executable, "-m", DISTRIBUTOR, "--no-web", "--redis", redis_server.url]
        done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=30)
        assert "refuses" in complaint(done)
        assert done.returncode == 2
    finally:
        link.call("CONFIG", "SET", "requirepass", "")
        link.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_for_redis_serves_its_page_meanwhile_and_stops_with_0(number: signal.Signals) -> None:
    port = free_port()
    line = [sys.executable, "-m", DISTRIBUTOR, "--port", str(port), "--redis", f"redis://{HOST}:{free_port()}"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: answers(port) or process.poll() is not None, 15, "its page")
        finally:
            process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "waiting for Redis" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_while_it_ends_does_no_harm(redis_server: EmbeddedRedis, number: signal.Signals) -> None:
    line = [sys.executable, "-m", DISTRIBUTOR, "--no-web", "--redis", redis_server.url]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"connected" in process.stderr.readline()
        while process.poll() is None:
            process.send_signal(number)
        assert process.returncode == 0


def test_a_redis_that_refuses_the_duties_is_one_line_with_the_cause_and_exit_code_2(
    redis_server: EmbeddedRedis,
) -> None:
    with open_link(redis_server.url) as link:
        link.call("ACL", "SETUSER", "poor", "reset", "on", ">p", "~*", "+@all", "-evalsha")
        done = run("--no-web", "--redis", redis_server.url.replace("unix://", "unix://poor:p@"), module=DISTRIBUTOR)
        link.call("ACL", "DELUSER", "poor")
    assert done.returncode == 2
    assert "evalsha" in complaint(done)
    assert "docs/acl.md" in complaint(done)


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_three_at_once_do_no_more_harm_than_one(own_cluster: Cluster) -> None:
    for _ in range(3):
        own_cluster.start_distributor()
    for _ in range(2):
        own_cluster.start_worker()
    with own_cluster.connect() as client:
        sleep = simpledist.worker_function(client, "sleep", local)
        assert sleep(0.0) == 0.0
        futures = [sleep.submit(0.2) for _ in range(20)]
        own_cluster.workers[0].kill()
        assert [future.result(30) for future in futures] == [0.2] * 20
        assert {future.info.where for future in futures if future.info} == {"remote"}
        assert max(future.info.attempts for future in futures if future.info) <= 2
    assert all(one.running for one in own_cluster.distributors)


def local(_: float) -> float:
    return -1.0


def test_foreign_things_at_our_keys_do_not_end_its_duties(own_cluster: Cluster) -> None:
    distributor = own_cluster.start_distributor()
    own_cluster.start_worker()
    keys, link = Keys(), Link(own_cluster.url)
    link.connect()
    link.call("SADD", keys.functions, b"\xff\xfe", "foreign name")
    link.call("HSET", keys.workers, "foreign", "no JSON", b"\xff", b"\xff")
    link.call("HSET", keys.clients, b"\xff", b"\xff", "foreign", "x y z")
    own_cluster.workers[0].kill()
    assert distributor.running
    wait_until(lambda: b'"dead":' in link.call("HGET", keys.workers, own_cluster.workers[0].id), 5, "it is expelled")
    assert distributor.running
    link.call("FLUSHALL")
    link.close()


def test_every_distributor_logs_a_death_no_matter_which_one_expelled_the_worker(own_cluster: Cluster) -> None:
    distributors = [own_cluster.start_distributor(arguments=["--log-format", "json"]) for _ in range(3)]
    for one in distributors:
        wait_until(lambda one=one: "connected to Redis" in one.stderr_text(), 10, "it does its duties")
    killed, left = (own_cluster.start_worker(arguments=["--name", name]) for name in ("alder", "birch"))
    with open_link(own_cluster.url) as link:  # each distributor has seen them once: a pass takes 0.25 s
        beat = int(link.call("HGET", Keys().heartbeats, killed.id))
        wait_until(lambda: int(link.call("HGET", Keys().heartbeats, killed.id)) > beat, 10, "its next beat")
    assert left.stop() == 0
    killed.kill()
    for one in distributors:
        wait_until(lambda one=one: deaths(one), 10, "it says so")
        assert [death.partition(":")[0] for death in deaths(one)] == [
            f"worker {killed.id} (alder on {platform.node()}, pid {killed.pid}) is dead"
        ]


def deaths(distributor: RoleProcess) -> list[str]:
    """What a distributor has logged of deaths, once, and in JSON."""
    messages = [json.loads(line)["message"] for line in distributor.stderr_text().splitlines()]
    return [one for one in messages if "is dead" in one]
