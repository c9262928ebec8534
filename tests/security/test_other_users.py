"""Another user of this machine may disturb what goes through a Redis on loopback, but runs and answers nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import wire
from simpledist.broker import Keys, server_owner
from simpledist.cluster import Cluster
from simpledist.embedded import HOST, PING, EmbeddedRedis, ask, find_server
from simpledist.errors import ConfigurationError
from simpledist.wire.key_file import keyring_from, new_secret
from simpledist.wire.keyring import Keyring
from tests import needs
from tests.commands import WORKER, free_port, run
from tests.faults.proxy import Proxy
from tests.links import open_link
from tests.security.functions.counted import count
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
TARGET = "tests.security.functions.counted"
STRANGER = 1001


def key_file(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "key"
    path.touch(0o600)
    path.write_text(new_secret())
    return str(path)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """The README's story: Redis on a port of loopback, a worker, and nothing configured."""
    with EmbeddedRedis(port=0) as redis, Cluster((TARGET, "--any"), slots=1, folder=ROOT, redis=redis) as one:
        yield one


@pytest.fixture
def stranger(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> simpledist.Client:
    """A client of another user, who has a key of their own."""
    key_file(tmp_path / "theirs" / "simpledist")
    with monkeypatch.context() as theirs:
        theirs.setenv("XDG_CONFIG_HOME", str(tmp_path / "theirs"))
        return cluster.connect()


def counted(client: simpledist.Client, **options: Any) -> Any:
    return simpledist.worker_function(client, "count", count, **options)


def at_home(_: str) -> str:
    return "at home"


def where(future: simpledist.Future[Any]) -> tuple[str, str | None]:
    future.exception(20)
    assert future.info is not None
    return future.info.where, future.info.why


def test_with_nothing_configured_calls_are_signed_by_the_users_key(cluster: Cluster, tmp_path: Path) -> None:
    client = cluster.connect()
    future = counted(client).submit(str(tmp_path / "runs"))
    assert where(future) == ("remote", None)
    with open_link(cluster.url) as link:
        offers = link.call("HVALS", Keys().named("offers", "count"))
    mine = keyring_from(str(Path(os.environ["XDG_CONFIG_HOME"]) / "simpledist" / "key"))
    assert mine.signing_id.hex().encode() in offers[0]
    done = run("call", "--redis", cluster.url, "count", str(tmp_path / "runs"))
    assert (done.stdout.strip(), done.returncode) == ("2", 0), done.stderr


def test_another_users_calls_run_at_their_own_process(
    cluster: Cluster, stranger: simpledist.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "simpledist"), stranger.executor() as executor:
        shipped = executor.submit(os.getpid)
        named = simpledist.worker_function(stranger, "count", at_home).submit("")
        assert where(named) == ("local", "key")
        assert where(shipped) == ("local", "key")  # type: ignore[arg-type]
        assert shipped.result() == os.getpid()

    def lines_about_it() -> list[str]:
        return [record.getMessage() for record in caplog.records if "other keys" in record.getMessage()]

    wait_until(lines_about_it, 5, "a line")
    lines = lines_about_it()[0]
    ours = keyring_from(str(Path(os.environ["XDG_CONFIG_HOME"]) / "simpledist" / "key"))
    theirs = stranger.engine.keyring
    for word in (ours.signing_id.hex(), theirs.signing_id.hex(), f"scp {theirs.file} ", "--secret-file"):
        assert word in lines


def test_who_signs_nothing_is_answered_by_no_one_and_runs_nothing(cluster: Cluster) -> None:
    client = cluster.connect(insecure=True)
    future = simpledist.worker_function(client, "count", at_home).submit("")
    assert where(future) == ("local", "key")


def test_a_call_that_another_user_puts_in_place_of_ours_is_not_run(
    cluster: Cluster, stranger: simpledist.Client, tmp_path: Path
) -> None:
    client, until, canary = cluster.connect(), tmp_path / "until", tmp_path / "canary"
    log = tmp_path / "busy"
    busy = counted(client).submit(str(log), str(until))
    wait_until(log.exists, 20, "the slot is taken")
    future = counted(client).submit(str(tmp_path / "runs"))
    at = Keys().named("call", future.call.id)
    with open_link(cluster.url) as link:
        wait_until(lambda: link.call("EXISTS", at), 5, "it is queued")
        for keyring in (stranger.engine.keyring, Keyring()):
            body = wire.encode_arguments("pickle", (str(canary),))
            forged = wire.seal_call("count", "pickle", body, keyring, nonce=future.call.nonce, sealed_at_ms=2**50)
            link.call("SET", at, bytes(forged.data), "KEEPTTL")
    until.touch()
    assert busy.result(20) == 1
    assert where(future) == ("local", "key")
    assert not canary.exists()


class Bomb:
    """Leaves a folder behind where it is decoded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def test_a_result_that_another_user_pushes_is_not_decoded(
    cluster: Cluster, stranger: simpledist.Client, tmp_path: Path
) -> None:
    client, until, log = cluster.connect(), tmp_path / "until", tmp_path / "busy"
    future = counted(client).submit(str(log), str(until))
    wait_until(log.exists, 20, "it runs")
    value = wire.encode_value("pickle", Bomb(tmp_path / "canary"))
    with open_link(cluster.url) as link:
        for keyring in (Keyring(), stranger.engine.keyring):
            forged = wire.seal_outcome("count", "pickle", "value", value, future.call.digest, keyring, 2**50)
            element = future.call.id.encode() + b" succeeded - w1 1 0 0 inline\n" + bytes(forged)
            link.call("RPUSH", Keys().reply(client.id), element)
        link.call("EXPIRE", Keys().reply(client.id), 60)
    until.touch()
    future.exception(20)
    assert not (tmp_path / "canary").exists()


def test_two_users_who_name_one_key_file_share_a_cluster(
    cluster: Cluster, tmp_path: Path, stranger: simpledist.Client
) -> None:
    shared = key_file(tmp_path)
    worker = cluster.start_worker(arguments=["--secret-file", shared])
    client = cluster.connect(secret_file=shared)
    future = counted(client).submit(str(tmp_path / "runs"))
    assert where(future) == ("remote", None)
    assert future.info is not None
    assert future.info.worker == worker.id
    assert where(counted(stranger).submit(str(tmp_path / "runs"))) == ("local", "key")


# --- a Redis that is another user's ----------------------------------------------------------------------------------


Foreign = Callable[..., str]


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    """Starts a Redis of another ordinary user, on a socket that all may use or on a port; returns its URL."""
    if os.geteuid():
        needs.missing("only root can start a process of another user: run this test as root")
    with ExitStack() as stack:

        def start(*, port: int = 0) -> str:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            os.chown(folder, STRANGER, STRANGER)
            socket = str(folder / "redis.sock")
            address = ["--port", str(port), "--bind", HOST] if port else ["--port", "0", "--unixsocket", socket]
            process = subprocess.Popen(
                [find_server(), *address, "--unixsocketperm", "777", "--save", "", "--dir", str(folder)],
                user=STRANGER,
                group=STRANGER,
                extra_groups=[],
                stdout=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            wait_until(lambda: ask((HOST, port) if port else socket, PING), 20, "it answers")
            return f"redis://{HOST}:{port}/0" if port else f"unix://{socket}"

        yield start


def test_the_socket_of_another_user_is_refused_before_anything_is_sent(
    foreign: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    url = foreign().replace("unix://", "unix://me:password@")
    with simpledist.connect(url) as client:
        assert where(simpledist.worker_function(client, "f", divmod).submit(7, 2)) == ("local", "redis_refused")
        assert f"belongs to user {STRANGER}" in str(client.last_error)
        assert "--secret-file" in str(client.last_error)
    assert "belongs to user" in caplog.text
    assert "password" not in caplog.text
    done = run("--redis", url, "os:getpid", module=WORKER)
    assert done.returncode == 2
    assert f"belongs to user {STRANGER}" in done.stderr
    with open_link(url.replace("me:password@", "")) as link:
        assert link.call("ACL", "LOG") == [], "no one tried the password"


@pytest.mark.parametrize("named", [True, False], ids=["a key", "insecure"])
def test_the_socket_of_another_user_is_taken_by_who_says_so(foreign: Foreign, tmp_path: Path, named: bool) -> None:
    url = foreign()
    options: dict[str, Any] = {"secret_file": key_file(tmp_path)} if named else {"insecure": True}
    with simpledist.connect(url, **options) as client:
        assert where(simpledist.worker_function(client, "f", divmod).submit(7, 2)) == ("local", "no_worker")


def test_a_port_on_which_another_user_listens_is_warned_of_once(
    foreign: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = foreign(port=port)
    for _ in range(2):
        with simpledist.connect(url) as client:
            assert where(simpledist.worker_function(client, "f", divmod).submit(7, 2)) == ("local", "no_worker")
    lines = [record.getMessage() for record in caplog.records if f"belongs to user {STRANGER}" in record.getMessage()]
    assert len(lines) == 1
    assert f"{HOST}:{port}" in lines[0]


def test_a_user_behind_a_tunnel_forges_nothing_and_cannot_be_seen(
    foreign: Foreign, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    url = foreign(port=free_port())
    with Proxy(url) as tunnel, simpledist.connect(tunnel.url) as client, open_link(url) as link:
        with Cluster((TARGET,), slots=1, folder=ROOT, redis=tunnel.url):
            log, until = tmp_path / "busy", tmp_path / "until"
            future = counted(client).submit(str(log), str(until))
            wait_until(log.exists, 20, "a worker of ours has it, by the tunnel as well")
            value = wire.encode_value("pickle", Bomb(tmp_path / "canary"))
            for keyring in (Keyring(), Keyring([b"x" * 32])):
                forged = wire.seal_outcome("count", "pickle", "value", value, future.call.digest, keyring, 2**50)
                element = future.call.id.encode() + b" succeeded - w1 1 0 0 inline\n" + bytes(forged)
                link.call("RPUSH", Keys().reply(client.id), element)
            until.touch()
            assert future.result(20) in (1, 2)
            assert where(future) in (("remote", None), ("local", "key"))
        assert not (tmp_path / "canary").exists()
        assert "belongs to user" not in caplog.text


def test_our_own_redis_and_that_of_a_system_user_are_nothing_to_tell(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server_owner, "_warned", set[tuple[str, int]]())
    assert where(counted(cluster.connect()).submit(str(tmp_path / "runs"))) == ("remote", None)
    assert "belongs to" not in caplog.text


# --- no key, another machine, JSON -----------------------------------------------------------------------------------


def test_a_client_without_a_key_and_with_json_never_takes_to_pickles(tmp_path: Path) -> None:
    with EmbeddedRedis(port=0, arguments=["--bind", "0.0.0.0", "--protected-mode", "no"]) as redis:
        other_host = redis.url.replace(HOST, "0.0.0.0")  # what is no loopback address counts as another machine
        with (
            Cluster((TARGET,), slots=1, folder=ROOT, redis=redis, workers=0) as cluster,
            simpledist.connect(other_host, codec="json") as client,
        ):
            cluster.start_worker(arguments=["--insecure"])
            assert where(counted(client).submit(str(tmp_path / "runs"))) == ("remote", None)
            with pytest.raises(ConfigurationError, match="decodes no pickles"):
                counted(client, codec="pickle")
            with pytest.raises(ConfigurationError, match="decodes no pickles"):
                client.executor()
            future = counted(client).submit(str(tmp_path / "runs"))
            assert where(future) == ("remote", None)


def test_joblib_needs_pickles(tmp_path: Path) -> None:
    joblib = import_module("simpledist.joblib")
    with (
        simpledist.connect("redis://0.0.0.0:1", codec="json") as client,
        pytest.raises(ConfigurationError, match="decodes no pickles"),
    ):
        joblib.SimpledistBackend(client)


STORY = """
import simpledist, sys
with simpledist.connect(sys.argv[1]) as dist:
    print(simpledist.worker_function(dist, "count", lambda _: "local")(sys.argv[2]))
"""


def test_a_program_of_the_same_user_needs_no_setting(cluster: Cluster, tmp_path: Path) -> None:
    line = [sys.executable, "-c", STORY, cluster.url, str(tmp_path / "runs")]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("1", "")
