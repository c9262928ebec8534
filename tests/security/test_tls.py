"""rediss:// speaks only to a server whose certificate a known authority has signed, for the host in the URL.

`make tls` runs this file with each redis-py that is supported: their defaults differ.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import simpledist
from simpledist.broker import Link
from simpledist.cluster import Cluster
from simpledist.embedded import HOST, EmbeddedRedis
from simpledist.errors import RedisDown
from tests import servers
from tests.certificates import Authority, Certificate
from tests.commands import free_port, run
from tests.security.functions.cubes import cube

ROOT = Path(__file__).parents[2]
PASSWORD = "a-password-that-no-stranger-hears"
HERE = ("DNS:localhost", f"IP:{HOST}")
ELSEWHERE = ("DNS:redis.example", "IP:192.0.2.1")


class Listener:
    """Answers TLS with a certificate, says that all is well, and keeps what it hears."""

    def __init__(self, certificate: Certificate) -> None:
        self.heard = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.file, certificate.key)
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            plain.settimeout(5)
            with plain:
                try:
                    with self._context.wrap_socket(plain, server_side=True) as spoken:
                        while data := spoken.recv(65536):
                            self.heard += data
                            spoken.sendall(b"+OK\r\n")
                except OSError:
                    continue


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


Redis = Callable[[Certificate], int]


@pytest.fixture
def redis() -> Iterator[Redis]:
    """Starts a Redis with a certificate and a password; returns its port."""
    with ExitStack() as stack:

        def start(certificate: Certificate) -> int:
            port = free_port()
            files = ("--tls-cert-file", str(certificate.file), "--tls-key-file", str(certificate.key))
            options = ("--tls-port", str(port), *files, "--tls-auth-clients", "no", "--requirepass", PASSWORD)
            stack.enter_context(EmbeddedRedis(servers.server(servers.NEWER), arguments=options))
            return port

        yield start


def address(port: int, authority: Authority, *options: str, host: str = "localhost") -> str:
    query = "&".join((f"ssl_ca_certs={authority.file}", *options))
    return f"rediss://:{PASSWORD}@{host}:{port}/0?{query}"


def connected(url: str) -> bool:
    link = Link(url, name="tests")
    try:
        link.connect()
        return link.call("PING") == b"PONG"
    finally:
        link.close()


@pytest.mark.parametrize("host", ["localhost", HOST])
def test_a_certificate_of_a_known_authority_for_this_host_is_taken(
    authority: Authority, redis: Redis, host: str
) -> None:
    assert connected(address(redis(authority.certificate(*HERE)), authority, host=host))


@pytest.mark.parametrize("host", ["localhost", HOST])
@pytest.mark.parametrize("options", [(), ("ssl_cert_reqs=required",), ("ssl_cert_reqs=optional",)], ids=str)
@pytest.mark.parametrize("trouble", ["another host", "another authority", "expired"])
def test_any_other_is_refused_before_the_password_is_sent(
    authority: Authority, tmp_path: Path, trouble: str, options: tuple[str, ...], host: str
) -> None:
    listener = Listener(
        {
            "another host": lambda: authority.certificate(*ELSEWHERE),
            "another authority": lambda: Authority(tmp_path, "stranger").certificate(*HERE),
            "expired": lambda: authority.certificate(*HERE, days=-1),
        }[trouble]()
    )
    try:
        with pytest.raises(RedisDown, match="CERTIFICATE_VERIFY_FAILED"):
            connected(address(listener.port, authority, *options, host=host))
    finally:
        listener.close()
    assert listener.heard == b""


def test_what_a_url_says_of_its_checks_counts(authority: Authority, redis: Redis, tmp_path: Path) -> None:
    other_host = redis(authority.certificate(*ELSEWHERE))
    assert connected(address(other_host, authority, "ssl_check_hostname=false"))
    stranger = redis(Authority(tmp_path, "stranger").certificate(*ELSEWHERE))
    assert connected(address(stranger, authority, "ssl_cert_reqs=none"))
    with pytest.raises(RedisDown, match="CERTIFICATE_VERIFY_FAILED"):
        connected(address(stranger, authority, "ssl_check_hostname=false"))


def test_callers_run_their_calls_and_commands_say_what_is_wrong(authority: Authority, redis: Redis) -> None:
    url = address(redis(authority.certificate(*ELSEWHERE)), authority)
    with simpledist.connect(url) as client:
        future = simpledist.worker_function(client, "cube", cube).submit(3)
        assert future.result(20) == 27
        assert future.info is not None
        assert (future.info.where, future.info.why) == ("local", "redis_down")
    done = run("doctor", "--redis", url)
    assert done.returncode == 2
    assert "its certificate is for another host" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


def test_a_cluster_lives_over_tls(authority: Authority, redis: Redis) -> None:
    url = address(redis(authority.certificate(*HERE)), authority)
    with Cluster("tests.security.functions.cubes:cube", slots=1, folder=ROOT, redis=url) as cluster:
        futures = [simpledist.worker_function(cluster.connect(), "cube", cube).submit(n) for n in range(20)]
        assert [future.result(20) for future in futures] == [n**3 for n in range(20)]
        assert {future.info.where for future in futures if future.info} == {"remote"}


def test_a_sentinel_proves_who_it_is_too(authority: Authority) -> None:
    listener = Listener(authority.certificate(*ELSEWHERE))
    options = f"ssl_ca_certs={authority.file}&sentinel_password={PASSWORD}"
    try:
        with pytest.raises(RedisDown, match="CERTIFICATE_VERIFY_FAILED"):
            connected(f"rediss+sentinel://:{PASSWORD}@localhost:{listener.port}/main?{options}")
    finally:
        listener.close()
    assert listener.heard == b""
