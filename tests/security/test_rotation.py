"""Keys are changed while calls run: by the steps of docs/security.md nothing is lost and nothing runs at its caller."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster, RoleProcess
from simpledist.wire.key_file import new_secret
from tests.security.functions.cubes import cube
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
CALLS = 100  # between two restarts, of the caller that has just begun


class Caller:
    """A program that calls all the time, with a key file of its own."""

    def __init__(self, url: str, folder: Path, keys: list[str], number: int) -> None:
        self._said = folder / f"caller-{number}.txt"
        self._errors = folder / f"caller-{number}-errors.txt"
        line = [
            sys.executable,
            "-m",
            "tests.security.programs.calling",
            url,
            key_file(folder, f"caller-{number}", keys),
        ]
        with self._said.open("wb") as said, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=said, stderr=errors, cwd=ROOT)
        wait_until(lambda: self.calls >= CALLS, 60, f"it calls: {self._errors.read_text()}")

    @property
    def came(self) -> Counter[str]:
        """What came of its calls, as it last said."""
        lines = self._said.read_text().splitlines()
        return Counter(json.loads(lines[-1])) if lines else Counter()

    @property
    def calls(self) -> int:
        return sum(number for name, number in self.came.items() if name != "wrong")

    def end(self) -> Counter[str]:
        """Let it finish; returns what came of all its calls."""
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0, self._errors.read_text()
        return self.came

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.communicate()


def key_file(folder: Path, name: str, keys: list[str]) -> str:
    path = folder / f"{name}.key"
    path.touch(0o600)
    path.write_text("\n".join(keys) + "\n")
    return str(path)


class Fleet:
    """Two workers and two callers, each with a key file of its own, that are started again one after the other."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._workers: list[RoleProcess] = []
        self.callers: list[Caller] = []
        self.came: Counter[str] = Counter()
        self._started = 0

    def start(self, keys: list[str]) -> None:
        self._workers = [self._worker(keys) for _ in range(2)]
        self.callers = [self._caller(keys) for _ in range(2)]

    def restart_workers(self, keys: list[str]) -> None:
        for at, old in enumerate(self._workers):
            self._workers[at] = self._worker(keys)
            assert old.stop(seconds=60) == 0
            self._call_on()

    def restart_callers(self, keys: list[str]) -> None:
        for at, old in enumerate(self.callers):
            self.callers[at] = self._caller(keys)
            self.came += old.end()

    def end(self) -> None:
        for caller in self.callers:
            self.came += caller.end()

    def call_with(self, keys: list[str]) -> simpledist.Future[int]:
        """One call of another program, with these keys."""
        client = self._cluster.connect(secret_file=key_file(self._folder, "other", keys))
        future = simpledist.worker_function(client, "cube", cube).submit(3)
        assert future.result(20) == 27
        return future

    def _call_on(self) -> None:
        before = [caller.calls for caller in self.callers]

        def went_on() -> bool:
            return all(caller.calls >= calls + CALLS for caller, calls in zip(self.callers, before, strict=True))

        wait_until(went_on, 60, "calls go on")

    def _worker(self, keys: list[str]) -> RoleProcess:
        self._started += 1
        file = key_file(self._folder, f"worker-{self._started}", keys)
        return self._cluster.start_worker(arguments=["--secret-file", file])

    def _caller(self, keys: list[str]) -> Caller:
        self._started += 1
        return Caller(self._cluster.url, self._folder, keys, self._started)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Cluster("tests.security.functions.cubes:cube", workers=0, slots=1, folder=ROOT) as cluster:
        one = Fleet(cluster, tmp_path)
        try:
            yield one
        finally:
            for caller in one.callers:
                caller.kill()


def test_keys_changed_by_the_steps_of_the_page_keep_every_call_remote(fleet: Fleet) -> None:
    old, new = new_secret(), new_secret()
    assert re.findall(r"^\d\. .*?\*(.*?)\*", PAGE, re.MULTILINE) == ["new key last", "new key first", "old key gone"]
    fleet.start([old])
    for keys in ([old, new], [new, old], [new]):
        fleet.restart_workers(keys)
        fleet.restart_callers(keys)
    thief = fleet.call_with([old])
    fleet.end()
    assert thief.info is not None
    assert (thief.info.where, thief.info.why) == ("local", "key"), "who has kept the old key has it for nothing"
    print(dict(fleet.came))
    assert fleet.came.pop("wrong", 0) == 0
    assert fleet.came["remote"] >= 1000
    assert set(fleet.came) == {"remote"}, "nothing ran at its caller"


def test_a_key_changed_at_once_loses_no_call_but_brings_them_home(fleet: Fleet) -> None:
    old, new = new_secret(), new_secret()
    fleet.start([old])
    fleet.restart_workers([new])
    fleet.restart_callers([new])
    fleet.end()
    print(dict(fleet.came))
    assert fleet.came.pop("wrong", 0) == 0
    assert set(fleet.came) <= {"remote", "key", "no_worker"}
    assert fleet.came["key"] > 0
    assert fleet.came["remote"] > 0
