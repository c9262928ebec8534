"""`simpledist ssh` with a real sshd: from a machine that has Python alone to a worker, and back to nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.embedded import EmbeddedRedis
from tests.sshd import SERVED_SECONDS, Sshd, await_worker, nothing_is_left, started
from tests.waiting import wait_until

PASSWORD = "dont-show-this-password"
CONTROL = {*map(chr, range(32)), "\x7f", "\x9b"} - {"\n"}


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd() as one:
        yield one


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def test_from_nothing_to_a_served_call_and_back_with_ctrl_c(sshd: Sshd, redis: EmbeddedRedis) -> None:
    with simpledist.connect(redis.url) as client:
        began = time.monotonic()
        with started(
            sshd, redis.url, "--bootstrap", "--", "uid=os:getuid", "nap=time:sleep", "--slots", "2"
        ) as command:
            await_worker(client, sshd, command)
            assert time.monotonic() - began < SERVED_SECONDS
            nap = simpledist.worker_function(client, "nap", time.sleep).submit(1.5)
            wait_until(lambda: nap.running(), 10, "it runs")
            command.signal()
            assert command.wait() == 0, command.text()
            nap.result(5)
            assert nap.info is not None
            assert nap.info.where == "remote", "a drain lets jobs finish"
        assert f"[{sshd.host}] a worker has started" in command.text()
        nothing_is_left(sshd)
        assert (sshd.home / ".cache" / "simpledist-ssh").is_dir()


def test_neither_key_nor_password_is_seen_in_a_process_or_a_file_there(sshd: Sshd) -> None:
    with (
        EmbeddedRedis(port=0, password=PASSWORD) as redis,
        simpledist.connect(redis.url.replace("://", f"://:{PASSWORD}@")) as client,
    ):
        url = redis.url.replace("://", f"://:{PASSWORD}@")
        with started(
            sshd, url, "--bootstrap", "--", "uid=os:getuid", "--slots", "1", "--log-level", "debug"
        ) as command:
            await_worker(client, sshd, command)
            secrets = [PASSWORD, Path(client.engine.keyring.file).read_text().strip()]
            processes = sshd.processes()
            seen = [" ".join([*one.cmdline(), *one.environ().values()]) for one in processes]
            assert len(seen) >= 3, "launcher, worker, template, child"
            seen += [path.read_text("utf-8", "replace") for path in sshd.home.rglob("*") if path.is_file()]
            seen.append(command.text())
            assert [secret for secret in secrets for text in seen if secret in text] == []
            command.signal()
            assert command.wait() == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--bootstrap", "--", "no_such_module"], r".*target no_such_module: there is no module no_such_module here.*"),
        (["--", "uid=os:getuid"], r"none of its Pythons has simpledist: say --bootstrap, or name .*--python"),
        (["--python", "/no/such/python", "--", "--any"], r"there is no Python 3\.10 or newer: .*"),
    ],
    ids=["no module", "no simpledist", "no Python"],
)
def test_what_the_machine_lacks_is_one_line(sshd: Sshd, redis: EmbeddedRedis, words: list[str], line: str) -> None:
    with started(sshd, redis.url, *words) as command:
        assert command.wait(SERVED_SECONDS) == 1
        last = command.text().splitlines()[-1]
        assert re.fullmatch(rf"\[{re.escape(sshd.host)}\] {line}", last), command.text()
        assert "tries again" not in command.text()
        nothing_is_left(sshd)


def test_a_host_with_another_key_gets_nothing(sshd: Sshd, redis: EmbeddedRedis) -> None:
    sshd.know("other")
    with started(sshd, redis.url, "--bootstrap", "--", "--any") as command:
        assert command.wait() == 1
        assert "Host key verification failed" in command.text()
        assert not list(sshd.home.iterdir())


def test_a_tunnel_that_sshd_refuses_is_one_line(sshd: Sshd, redis: EmbeddedRedis) -> None:
    sshd.stop()
    sshd.start("AllowStreamLocalForwarding no")
    with started(sshd, redis.url, "--bootstrap", "--", "--any") as command:
        assert command.wait() == 1
        assert "sshd there refuses the tunnel: AllowStreamLocalForwarding" in command.text()
        nothing_is_left(sshd)


FORGED = (
    '{"event": "here", "python": "3.12", "socket": "/tmp/x:localhost:22", "wants_files": false}',
    '{"event": "here", "python": "3.12", "socket": "relative", "wants_files": false}',
    '{"event": "started", "pid": 1}',
    '{"event": ["here"]}',
    "[" * 5000,
)


@pytest.mark.parametrize("forged", FORGED, ids=["a forwarding", "a relative path", "out of turn", "no event", "deep"])
def test_a_hostile_host_is_dropped_and_writes_nothing_to_the_terminal(
    sshd: Sshd, redis: EmbeddedRedis, forged: str
) -> None:
    script = sshd.folder / "hostile"
    script.write_bytes(
        b"#!/bin/sh\nprintf '\\033]0;owned\\007\\033[2J\\n'\nprintf '\\033[31mred\\n' >&2\n"
        b"printf '\\036simpledist %s\\n' '" + forged.encode() + b"'\nexec sleep 60\n"
    )
    script.chmod(0o755)
    sshd.allow(command=str(script))
    with started(sshd, redis.url, "--bootstrap", "--", "--any") as command:
        assert command.wait() == 1
        assert "it is no launcher of ours" in command.text()
        assert not CONTROL & {*command.text()}
        assert "x:localhost" not in (sshd.folder / "log").read_text()
