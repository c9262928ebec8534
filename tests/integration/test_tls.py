"""rediss://: the same life over TLS, whose session tickets make a socket readable for reasons of their own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.client.options import worker_function
from simpledist.cluster import Cluster
from simpledist.embedded import HOST, EmbeddedRedis
from tests import needs, servers
from tests.waiting import wait_until


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine's own making, and its key."""
    program = needs.program("openssl")
    made, key = folder / "made.pem", folder / "key.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(made))
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, "-days", "2", *names],
        check=True,
        capture_output=True,
    )
    return made, key


@pytest.fixture
def tls_url(tmp_path: Path) -> Iterator[str]:
    made, key = certificate(tmp_path)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    arguments = ("--tls-port", str(port), "--tls-cert-file", str(made), "--tls-key-file", str(key))
    with EmbeddedRedis(servers.server(servers.NEWER), arguments=(*arguments, "--tls-auth-clients", "no")):
        yield f"rediss://localhost:{port}/0?ssl_ca_certs={made}"


def local_cube(n: int) -> int | str:
    return f"local {n}"


def test_calls_travel_over_tls_and_a_killed_worker_is_noticed_there_too(tls_url: str, tmp_path: Path) -> None:
    (tmp_path / "cubes.py").write_text("def cube(n):\n    return n**3\n")
    with Cluster("cubes:cube", slots=2, folder=tmp_path, redis=tls_url) as cluster:
        cube = worker_function(cluster.connect(), "cube", local_cube)
        assert list(cube.map(range(50))) == [n**3 for n in range(50)]
        assert cluster.workers[0].stderr_text().count("connected to Redis") == 1
        cluster.workers[0].kill()
        wait_until(lambda: cube(2) == "local 2", 3.0, "the fall back to the local function")
