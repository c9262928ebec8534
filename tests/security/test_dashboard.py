"""The dashboard keeps its own door, however it is served, and is not blocked by those who only stand in it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path

import pytest

from simpledist.cluster import Cluster
from simpledist.embedded import HOST
from simpledist.monitor import Monitor
from tests.commands import free_port
from tests.waiting import wait_until
from tests.web.site import application

MOST_OF_AN_ADDRESS: int = import_module("simpledist_web.serving").MOST_OF_AN_ADDRESS

TOKEN = "t" * 40
NOWHERE = "redis://127.0.0.1:1"


def status(url: str, headers: dict[str, str] | None = None) -> int | None:
    """The status of an answer; None where no one answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.fixture
def port_of_flask(tmp_path: Path) -> Iterator[int]:
    """`flask run` with a token's file in the environment, and nothing else."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    port = free_port()
    line = [sys.executable, "-m", "flask", "--app", "simpledist_web", "run", "--host", "0.0.0.0", "--port", str(port)]
    environment = {**os.environ, "SIMPLEDIST_WEB_TOKEN_FILE": str(file), "SIMPLEDIST_REDIS_URL": NOWHERE}
    process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: status(f"http://{HOST}:{port}/healthz") is not None, 20, "it answers")
        yield port
    finally:
        process.kill()
        process.wait()


def test_the_app_demands_its_token_when_flask_serves_it(port_of_flask: int) -> None:
    for path in ("/", "/jobs", "/api/snapshot.json", "/metrics"):
        url = f"http://{HOST}:{port_of_flask}{path}"
        assert status(url) == 401
        assert status(url, {"Authorization": "Bearer " + "x" * 40}) == 401
        assert status(url, {"Authorization": f"Bearer {TOKEN}"}) in (200, 503)
        assert status(url, {"Authorization": f"Bearer {TOKEN}", "Host": "dashboard.example"}) in (200, 503)


@pytest.mark.parametrize(
    ("address", "code"),
    [("127.0.0.1", 200), ("::1", 200), ("", 200), ("192.0.2.7", 403), ("::ffff:192.0.2.7", 403), ("garbage", 403)],
)
def test_without_a_token_only_this_machine_is_answered(address: str, code: int) -> None:
    client = application(Monitor.connect(NOWHERE)).test_client()
    answer = client.get("/jobs", environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == code or (code == 200 and answer.status_code == 503)


def test_the_cookie_is_of_its_port_alone_and_is_kept_to_tls_behind_a_proxy() -> None:
    app = application(Monitor.connect(NOWHERE), token=TOKEN)
    client = app.test_client()

    def cookie(**headers: str) -> str:
        answer = app.test_client().get(f"/?token={TOKEN}", base_url="http://localhost:8081", headers=headers)
        return answer.headers["Set-Cookie"]

    assert cookie().startswith(f"simpledist_token_8081={TOKEN};")
    assert "Secure" not in cookie()
    assert "Secure" in cookie(**{"X-Forwarded-Proto": "https"})
    client.get(f"/?token={TOKEN}", base_url="http://localhost:8081")
    assert client.get("/jobs", base_url="http://localhost:8081").status_code != 401
    assert client.get("/jobs", base_url="http://localhost:8082").status_code == 401


def test_half_a_request_a_hundred_times_over_blocks_no_page() -> None:
    with Cluster(web=True) as cluster, ExitStack() as stack:
        _, _, port = cluster.dashboard_url.rstrip("/").rpartition(":")
        for _ in range(300):
            sock = stack.enter_context(socket.create_connection((HOST, int(port)), timeout=5))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
        assert status(f"{cluster.dashboard_url}jobs") == 200


class Standing:
    """Connections from one address that send half a request, and a byte more now and then."""

    def __init__(self, stack: ExitStack, port: int, address: str, number: int) -> None:
        self._sockets = [
            stack.enter_context(socket.create_connection((HOST, port), timeout=5, source_address=(address, 0)))
            for _ in range(number)
        ]
        self.drip(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")

    def drip(self, data: bytes = b"x") -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.sendall(data)

    def open(self) -> int:
        """How many the server has not closed."""
        found = 0
        for sock in self._sockets:
            sock.setblocking(False)
            try:
                found += bool(sock.recv(1, socket.MSG_PEEK))
            except BlockingIOError:
                found += 1
            except OSError:
                pass
            sock.settimeout(5)
        return found


def test_one_address_holds_a_hundred_connections_however_it_drips() -> None:
    with Cluster(web=True) as cluster, ExitStack() as stack:
        port = int(cluster.dashboard_url.rstrip("/").rpartition(":")[2])
        attackers = [Standing(stack, port, f"127.0.0.{last}", 300) for last in (2, 3)]
        neighbour = Standing(stack, port, "127.0.0.4", 50)
        for one in attackers:
            wait_until(lambda one=one: one.drip() or one.open() <= MOST_OF_AN_ADDRESS, 8, "the rest is closed")
            assert one.open() == MOST_OF_AN_ADDRESS, "the latest stay"
        assert neighbour.open() == 50, "others are left alone"
        assert status(f"{cluster.dashboard_url}jobs") == 200
        for address in ("127.0.0.2", "127.0.0.4"):  # also who shares the attacker's address
            connection = http.client.HTTPConnection(HOST, port, timeout=5, source_address=(address, 0))
            connection.request("GET", "/jobs", headers={"Host": "localhost"})
            assert connection.getresponse().status == 200
            connection.close()


def test_addresses_of_one_customer_count_as_one() -> None:
    origin = import_module("simpledist_web.serving")._origin
    assert origin(("192.0.2.1", 1)) == origin(("::ffff:192.0.2.1", 2)) != origin(("192.0.2.2", 1))
    assert origin(("2001:db8::1", 1, 0, 0)) == origin(("2001:db8::ffff:1%eth0", 2, 0, 0))
    assert origin(("2001:db8::1", 1)) != origin(("2001:db8:0:1::1", 1))
    assert origin(("localhost", 1)) == "localhost"
