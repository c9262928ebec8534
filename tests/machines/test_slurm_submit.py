"""`simpledist slurm submit` under a real Slurm: from no worker to some and back, and what Ctrl-C does."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import simpledist
from simpledist.client.client import Client
from simpledist.embedded import EmbeddedRedis
from simpledist.wire.key_file import new_secret
from tests.integration.functions import farm
from tests.machines.slurm import Slurm, slurm
from tests.machines.submitting import Submitting, submitting
from tests.waiting import wait_until

START_SECONDS = 90.0
PASSWORD = "dont-show-this-password"
ONE_SLOT = ("--cpus-per-task=1", "--time=10:00")


@pytest.fixture(scope="module")
def own_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm(tmp_path_factory.mktemp("slurm")) as one:
        yield one


@dataclass(frozen=True, slots=True)
class Site:
    """A Slurm, a Redis with a password and a client."""

    slurm: Slurm
    redis: EmbeddedRedis
    url: str
    client: Client
    key: Path
    folder: Path

    @contextmanager
    def submitting(self, *words: str) -> Generator[Submitting]:
        with submitting(self.slurm, self.folder, self.url, *words, key=self.key) as one:
            yield one

    def states(self) -> list[str]:
        return self.slurm.run("squeue", "--noheader", "--array", "--format=%T").split()


@pytest.fixture
def site(own_slurm: Slurm, tmp_path: Path) -> Iterator[Site]:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(new_secret())
    with EmbeddedRedis(port=0, password=PASSWORD) as redis:
        url = redis.url.replace("://", f"://:{PASSWORD}@")
        with simpledist.connect(url, secret_file=str(key)) as client:
            yield Site(own_slurm, redis, url, client, key, tmp_path)


def test_from_no_worker_to_some_and_back_to_none(site: Site) -> None:
    sleep = simpledist.worker_function(site.client, "sleep", farm.sleep)
    with site.submitting("--max", "3", *ONE_SLOT, "--", "farm:sleep", "--slots", "1", "--idle-exit", "3s") as command:
        wait_until(lambda: "Ctrl-C drains them" in command.text(), START_SECONDS, "it follows")
        assert site.states() == []
        futures = [sleep.submit(2.0) for _ in range(12)]
        wait_until(lambda: site.states().count("RUNNING") == 3, START_SECONDS, f"three jobs{command.text()}")
        assert [future.result(60) for future in futures] == [2.0] * 12
        where = [future.info.where for future in futures if future.info is not None]
        assert where.count("remote") >= 6, where
        wait_until(lambda: not site.states(), START_SECONDS, "idle workers end")
        assert "failed" not in command.text()
        command.interrupt()
        assert command.wait() == 0, command.text()
    assert not list(command.cache.glob("*")), "no file is left"


def test_neither_key_nor_password_is_seen_in_a_process_or_a_file_of_slurm(site: Site) -> None:
    secrets = [PASSWORD.encode(), site.key.read_bytes().strip()]
    with site.submitting("--min", "1", *ONE_SLOT, "--", "farm:sleep", "--slots", "1") as command:
        wait_until(lambda: "has joined" in logs(site) or "offers" in logs(site), START_SECONDS, "a worker")
        processes = [one for one in psutil.process_iter() if "simpledist" in " ".join(one.cmdline())]
        assert len(processes) >= 2, "the command and the worker"
        seen = [" ".join(one.cmdline()).encode() for one in psutil.process_iter()]
        seen += [path.read_bytes() for path in site.slurm.folder.rglob("*") if path.is_file()]
        seen += [site.slurm.run("scontrol", "show", "job").encode(), command.text().encode(), logs(site).encode()]
        assert [secret for secret in secrets for text in seen if secret in text] == []
        (file,) = command.cache.glob("*/redis-url")
        assert file.stat().st_mode & 0o777 == 0o600
        assert {path.stat().st_mode & 0o777 for path in (file.parent, command.cache)} == {0o700}
        command.interrupt()
        assert command.wait() == 0, command.text()


def logs(site: Site) -> str:
    return "".join(path.read_text() for path in site.folder.glob("simpledist-*.log"))


def wait_for_a_worker(sleep: simpledist.WorkerFunction[[float], float]) -> None:
    def served() -> bool:
        future = sleep.submit(0.0)
        future.result(30)
        return future.info is not None and future.info.where == "remote"

    wait_until(served, START_SECONDS, "a worker that serves")


def test_ctrl_c_cancels_what_waits_and_lets_running_jobs_finish(site: Site) -> None:
    sleep = simpledist.worker_function(site.client, "sleep", farm.sleep)
    # Eight CPUs: of ten workers with one each, eight can run.
    with site.submitting("--min", "10", *ONE_SLOT, "--", "farm:sleep", "--slots", "1") as command:
        wait_until(lambda: site.states().count("RUNNING") == 8, START_SECONDS, f"eight jobs{command.text()}")
        assert site.states().count("PENDING") == 2
        wait_for_a_worker(sleep)
        future = sleep.submit(6.0)
        wait_until(lambda: future.on_worker, 30, "a worker runs it")
        command.interrupt()
        wait_until(lambda: site.states().count("PENDING") == 0, 20, "the waiting ones are cancelled")
        assert future.result(30) == 6.0
        assert future.info is not None
        assert future.info.where == "remote"
        assert command.wait() == 0, command.text()
        assert site.states() == []
        assert re.search(r"10 jobs left: drains them", command.text())


def test_a_second_ctrl_c_cancels_all(site: Site) -> None:
    sleep = simpledist.worker_function(site.client, "sleep", farm.sleep)
    with site.submitting("--min", "1", *ONE_SLOT, "--", "farm:sleep", "--slots", "1") as command:
        wait_for_a_worker(sleep)
        future = sleep.submit(40.0)
        wait_until(lambda: future.on_worker, 30, "a worker runs it")
        command.interrupt()
        wait_until(lambda: "1 job left: drains them" in command.text(), 20, "it has heard the first")
        command.interrupt()
        assert command.wait() == 1
        assert "cancelled 1 job: Slurm ends what still runs" in command.text()
        wait_until(lambda: not site.states(), START_SECONDS, "the end of the job")
        future.cancel()


def test_jobs_that_fail_are_reported_with_their_last_line_and_not_submitted_again_at_once(site: Site) -> None:
    broken = site.folder / "broken.py"
    broken.write_text("import os\n\n\ndef run(number):\n    return number\n")
    with site.submitting("--min", "2", *ONE_SLOT, "--", "broken") as command:
        wait_until(lambda: "submitted 2 jobs" in command.text(), START_SECONDS, "it submits")
        broken.write_text("raise ValueError('this node has no such library')\n")
        site.slurm.run("scancel", "--user=root")
        wait_until(lambda: "failed" in command.text(), START_SECONDS, f"a failure{command.text()}")
        line = next(line for line in command.text().splitlines() if "failed" in line)
        assert "this node has no such library" in line
        assert re.search(r"all of it in .*/simpledist-\d+_\d\.log\); no new job for 10 s", line)
        began = time.monotonic()
        wait_until(lambda: command.text().count(" failed") == 2, START_SECONDS, "the next try")
        assert time.monotonic() - began > 9
        assert "no new job for 20 s" in command.text()


def test_after_a_crash_the_same_command_finds_its_jobs(site: Site) -> None:
    words = ("--min", "2", *ONE_SLOT, "--", "farm:sleep", "--slots", "1")
    with site.submitting(*words) as command:
        wait_until(lambda: site.states().count("RUNNING") == 2, START_SECONDS, "two jobs")
        command.kill()
        assert site.states() == ["RUNNING"] * 2
        (site.folder / "output").unlink()
        with site.submitting(*words) as again:
            wait_until(lambda: "2 jobs running, 0 waiting" in again.text(), START_SECONDS, "it finds them")
            assert "submitted" not in again.text()
            again.interrupt()
            assert again.wait() == 0
        assert site.states() == []


def test_while_redis_is_away_the_jobs_stay_as_they_are(site: Site) -> None:
    with site.submitting("--min", "1", *ONE_SLOT, "--", "farm:sleep", "--slots", "1") as command:
        wait_until(lambda: "1 job running" in command.text(), START_SECONDS, "a job")
        site.redis.stop()
        wait_until(lambda: "leaves the jobs as they are" in command.text(), START_SECONDS, f"a line{command.text()}")
        site.slurm.run("scancel", "--user=root")
        wait_until(lambda: command.text().count("submitted 1 job") == 2, START_SECONDS, "--min holds all the same")
        lines = [line for line in command.text().splitlines() if "leaves the jobs as they are" in line]
        assert len(lines) == len({*lines}), "each trouble is one line, however often it is met"
        command.interrupt()
        assert command.wait() == 0, command.text()


def test_one_look_submits_and_leaves_the_jobs(site: Site) -> None:
    with site.submitting("--once", "--min", "1", *ONE_SLOT, "--", "farm:sleep", "--slots", "1") as command:
        assert command.wait() == 0, command.text()
        assert "submitted 1 job" in command.text()
        assert len(site.states()) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--partition=nowhere",), "nvalid partition"),
        (("--no-such-option",), "no-such-option"),
        (("--time=soon",), "time"),
    ],
)
def test_what_slurm_would_not_take_is_one_line_at_once(site: Site, words: tuple[str, ...], line: str) -> None:
    with site.submitting(*words, "--", "farm:sleep") as command:
        assert command.wait() == 2, command.text()
        assert line in command.text()
        assert len(command.text().splitlines()) == 1, command.text()
        assert not list(command.cache.glob("*/redis-url"))
