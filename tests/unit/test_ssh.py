"""The pure parts of `simpledist ssh`: hosts, tunnels, command lines, what a launcher says, our files."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import unquote

import pytest

from simpledist.errors import ConfigurationError
from simpledist.ssh import archive, hosts, invocation, messages, tunnel
from simpledist.ssh.launcher import MARK
from tests import environments, needs

HERE = f"{MARK}{{}}"


# --- hosts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "target", "port"),
    [
        ("alder", "alder", None),
        ("alder:2222", "alder", 2222),
        ("me@alder.example.com:22", "me@alder.example.com", 22),
        ("[::1]:2222", "::1", 2222),
        ("me@[fe80::1%eth0]", "me@fe80::1%eth0", None),
        ("10.0.0.7", "10.0.0.7", None),
        ("build_host", "build_host", None),
    ],
)
def test_a_host_is_read(word: str, target: str, port: int | None) -> None:
    assert hosts.parse(word) == hosts.Host(word, target, port)


@pytest.mark.parametrize(
    "word",
    [
        "",
        "-oProxyCommand=touch /tmp/owned",
        "-alder",
        "-me@alder",
        "me@-alder",
        "alder:-1",
        "alder:0",
        "alder:70000",
        "alder:",
        "a b",
        "alder;reboot",
        "$(reboot)",
        "`reboot`@alder",
        "me@you@alder",
        "::1",
        "[alder]",
        "alder\n-oX",
        "ssh://alder",
        "älder",
        "alder\x1b[2J",
        "[::1%eth0;x]",
    ],
    ids=ascii,
)
def test_what_is_no_host_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError):
        hosts.parse(word)


def test_hosts_of_a_file_and_the_command_line_are_taken_once(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# machines\nalder\n\nbirch:2222  # the big one\n")
    assert [host.name for host in hosts.chosen(["alder", "cedar"], str(file))] == ["alder", "cedar", "birch:2222"]


@pytest.mark.parametrize(("text", "words"), [("a b\n", "line 1"), ("# none\n", "names no host")])
def test_a_file_that_cannot_be_used_is_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        hosts.read(str(tmp_path / "hosts"))
    with pytest.raises(ConfigurationError, match="No such file"):
        hosts.read(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="name a host"):
        hosts.chosen([], None)


# --- tunnel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "target", "there"),
    [
        ("redis://localhost:6379/0", "localhost:6379", "unix:///there/redis.sock?db=0"),
        ("redis://10.0.0.1", "10.0.0.1:6379", "unix:///there/redis.sock"),
        ("redis://me:p%2Fw@[::1]:7/3", "[::1]:7", "unix://me:p%2Fw@/there/redis.sock?db=3"),
        ("redis://:pw@alder/?db=2&socket_timeout=3", "alder:6379", "unix://:pw@/there/redis.sock?db=2"),
    ],
)
def test_a_tunnel_leads_to_the_redis_of_the_url(tmp_path: Path, url: str, target: str, there: str) -> None:
    made = tunnel.reached_by(url, tmp_path)
    assert (made.target, made.url("/there/redis.sock")) == (target, there)
    assert "pw" not in repr(made)
    assert "p%2Fw" not in repr(made)


def test_a_socket_of_any_path_is_reached_by_a_link(tmp_path: Path) -> None:
    made = tunnel.reached_by("unix://:pw@/tmp/a%20b:c%25.sock?db=4", tmp_path)
    assert made.target == str(tmp_path / "redis.sock")
    assert Path(made.target).readlink() == Path(unquote("/tmp/a%20b:c%25.sock"))
    assert made.url("/x") == "unix://:pw@/x?db=4"


@pytest.mark.parametrize("url", ["rediss://:pw@alder", "redis+sentinel://:pw@alder/service", "redis://:pw@a%20b"])
def test_what_no_tunnel_carries_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tunnel.reached_by(url, tmp_path)
    assert "pw" not in str(caught.value)


# --- command lines ---------------------------------------------------------------------------------------------------


def test_the_host_is_no_option_and_ssh_takes_nothing_along() -> None:
    line = invocation.connect(hosts.parse("me@alder:2222"), Path("/c"), "COMMAND")
    assert line[-3:] == ["--", "me@alder", "COMMAND"]
    assert line[line.index("-p") + 1] == "2222"
    assert {"-a", "-x", "BatchMode=yes", "ClearAllForwardings=yes"} <= {*line}
    assert not any("StrictHostKeyChecking" in word for word in line), "the user's own setting counts, asking is off"


@pytest.mark.parametrize("program", ["-c", "python3 -c", "a;b", "$(x)", "a'b", ""])
def test_what_is_no_python_is_refused(program: str) -> None:
    with pytest.raises(ConfigurationError):
        invocation.demand_python(program)


def run_there(command: str, text: bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Have a shell do what ssh has the shell there do."""
    return subprocess.run(["sh", "-c", command], input=text, capture_output=True, check=False, env=environment)


def test_the_first_line_of_stdin_is_run_by_a_python_and_the_rest_is_left_to_it() -> None:
    command = invocation.command_there(python=sys.executable, brings_files=True)
    done = run_there(command, b"import sys; print(len(sys.stdin.buffer.read()))\n" + b"x" * 100_000)
    assert (done.stdout, done.returncode) == (b"100000\n", 0), done.stderr
    assert run_there(command, b"").returncode == 0


def test_without_a_python_or_simpledist_the_exit_code_says_so(tmp_path: Path) -> None:
    path = str(tmp_path)
    for name in ("sh", "sed"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    command = invocation.command_there(python=None, brings_files=False)
    assert run_there(command, b"", PATH=path, HOME=path).returncode == invocation.NO_PYTHON
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    bare.chmod(0o755)
    assert run_there(command, b"", PATH=path, HOME=path).returncode == invocation.NO_SIMPLEDIST
    brings = invocation.command_there(python=None, brings_files=True)
    assert run_there(brings, b"print(1)\n", PATH=path, HOME=path).stdout == b"1\n"
    worker = tmp_path / "simpledist-worker"  # as pip writes it
    worker.write_text(f"#!{sys.executable}\n")
    worker.chmod(0o755)
    found = run_there(command, b"import sys; print(sys.executable)\n", PATH=path, HOME=path)
    assert found.stdout.decode().strip() == sys.executable, found.stderr


# --- events ----------------------------------------------------------------------------------------------------------


def test_events_are_read_and_other_lines_are_output() -> None:
    line = MARK + '{"event": "here", "python": "3.12.1", "socket": "/home/me/.cache/x/redis.sock", "wants_files": true}'
    assert messages.event_of(line) == messages.Here("3.12.1", "/home/me/.cache/x/redis.sock", True)
    assert messages.event_of(MARK + '{"event": "ended", "code": -9}') == messages.Ended(-9)
    assert messages.event_of("Welcome to alder!") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        "[" * 100_000,
        '{"event": "here", "python": 3, "socket": "/x", "wants_files": true}',
        '{"event": "here", "python": "3", "socket": "/x:localhost:22", "wants_files": true}',
        '{"event": "here", "python": "3", "socket": "x", "wants_files": true}',
        '{"event": "here", "python": "3", "socket": "/%h", "wants_files": true}',
        '{"event": "here", "python": "3", "socket": "/' + "x" * 200 + '", "wants_files": true}',
        '{"event": "started", "pid": "1"}',
        '{"event": "format"}',
    ],
    ids=lambda text: text[:30],
)
def test_an_event_that_no_launcher_sends_is_refused(text: str) -> None:
    with pytest.raises(messages.BadHost):
        messages.event_of(MARK + text)


# --- our files -------------------------------------------------------------------------------------------------------


def test_our_files_are_the_same_bytes_each_time_and_hold_nothing_compiled() -> None:
    made = archive.made()
    assert made == archive.made()
    with tarfile.open(fileobj=io.BytesIO(made.data)) as opened:
        names = opened.getnames()
    assert "ours/simpledist/broker/lua/submit.lua" in names
    assert not [name for name in names if name.endswith((".so", ".pyc")) or "simpledist_web" in name]
    assert len(made.data) < 4_000_000


@pytest.mark.parametrize("minor", ["3.10", "3.13"])
def test_a_bare_python_runs_a_worker_with_our_files_alone(tmp_path: Path, minor: str) -> None:
    python = environments.python(minor) or needs.missing(f"no Python {minor} here")
    with tarfile.open(fileobj=io.BytesIO(archive.made().data)) as opened:
        opened.extractall(tmp_path, filter="data")
    path = [tmp_path / "ours", *(tmp_path / "if-missing").iterdir()]
    done = subprocess.run(
        [python, "-S", "-m", "simpledist.cli.worker", "nowhere", "--redis", "unix:///nowhere"],
        env={"PYTHONPATH": ":".join(map(str, path)), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("simpledist-worker: target nowhere: there is no module nowhere here")
