"""`simpledist ssh` with a real sshd, as connections, callers and sshd itself end; and ten hosts at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

import simpledist
from simpledist.embedded import HOST, EmbeddedRedis
from tests.sshd import SERVED_SECONDS, Sshd, await_worker, nothing_is_left, started, where_it_runs
from tests.waiting import wait_until


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd() as one:
        yield one


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def no_nap(_: float) -> None:
    """Run here in place of a nap there."""


def test_a_killed_sshd_ends_the_worker_and_a_new_one_gets_it_back(sshd: Sshd, redis: EmbeddedRedis) -> None:
    with (
        simpledist.connect(redis.url) as client,
        started(sshd, redis.url, "--bootstrap", "--", "uid=os:getuid", "--slots", "1") as command,
    ):
        await_worker(client, sshd, command)
        sshd.stop()
        wait_until(lambda: not sshd.processes(), 30, "no orphan")
        assert where_it_runs(client)() == os.getuid()
        wait_until(lambda: "tries again in" in command.text(), 30, "it says so")
        sshd.start()
        await_worker(client, sshd, command)
        command.signal()
        assert command.wait() == 0, command.text()
        nothing_is_left(sshd)


def test_a_killed_caller_leaves_no_worker(sshd: Sshd, redis: EmbeddedRedis) -> None:
    with (
        simpledist.connect(redis.url) as client,
        started(sshd, redis.url, "--bootstrap", "--", "uid=os:getuid", "--slots", "1") as command,
    ):
        await_worker(client, sshd, command)
        command.signal(signal.SIGKILL)
        command.wait()
        wait_until(lambda: not sshd.processes(), 20, "the end of what ran there")
        assert sshd.files() == set()
        assert sshd.sockets() == []


def test_a_second_ctrl_c_ends_a_job_that_takes_long(sshd: Sshd, redis: EmbeddedRedis) -> None:
    with (
        simpledist.connect(redis.url) as client,
        started(sshd, redis.url, "--bootstrap", "--", "uid=os:getuid", "nap=time:sleep", "--slots", "2") as command,
    ):
        await_worker(client, sshd, command)
        nap = simpledist.worker_function(client, "nap", no_nap).submit(600)
        wait_until(lambda: nap.running(), 10, "it runs")
        command.signal()
        wait_until(lambda: where_it_runs(client)() == os.getuid(), 10, "it drains")
        command.signal()
        assert command.wait(15) == 1, command.text()
        nap.result(20)
        nothing_is_left(sshd)


def test_ten_connections_to_one_machine_end_together(sshd: Sshd, redis: EmbeddedRedis) -> None:
    names = sshd.folder / "hosts"
    # ssh takes each of these for this machine, and so they are ten hosts.
    others = [f"{sshd.user}@{HOST[:-1]}{number}:{sshd.port}" for number in range(2, 11)]
    names.write_text("# ten\n" + "\n".join(others) + "\n")
    key = (sshd.folder / "known").read_text().split(" ", 1)[1]
    (sshd.folder / "known").write_text("".join(f"[{HOST[:-1]}{n}]:{sshd.port} {key}" for n in range(1, 11)))
    sshd.stop()
    sshd.start(*(f"ListenAddress {HOST[:-1]}{number}" for number in range(2, 11)), "MaxStartups 100")
    with (
        simpledist.connect(redis.url) as client,
        started(
            sshd, redis.url, "--hosts", str(names), "--bootstrap", "--", "uid=os:getuid", "--slots", "1"
        ) as command,
    ):
        wait_until(lambda: command.text().count("a worker has started") == 10, SERVED_SECONDS, "ten workers")
        await_worker(client, sshd, command)
        command.signal()
        assert command.wait(60) == 0, command.text()
        nothing_is_left(sshd)
