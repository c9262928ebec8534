"""demo/no_deploy on two workers of another user, with another home, in an empty folder: they have none of its code."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.broker import Keys
from simpledist.embedded import EmbeddedRedis
from simpledist.wire.key_file import new_secret
from tests import commands, needs
from tests.links import open_link
from tests.trees import ROOT
from tests.waiting import wait_until

OTHER = 65534
CAPABILITY = "+dac_read_search"  # for the interpreter and its packages, which may be in a home of root's


def as_another(folder: Path) -> list[str]:
    """What goes before a command to run it as another user, if this one may do that; the folder becomes theirs."""
    if os.geteuid() != 0:
        return []
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, OTHER, OTHER)
    user = [f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups"]
    return [needs.program("setpriv"), *user, f"--inh-caps={CAPABILITY}", f"--ambient-caps={CAPABILITY}"]


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedRedis, Path]]:
    """Redis and two workers in an empty folder; the key, of which they have a copy."""
    key = tmp_path_factory.mktemp("ours") / "key"
    key.touch(0o600)
    key.write_text(new_secret())
    theirs = tmp_path_factory.mktemp("theirs")
    for above in theirs.parents:
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o011:
            above.chmod(above.stat().st_mode | 0o011)  # for pytest's own folders: others may go through
    (theirs / "empty").mkdir()
    shutil.copy(key, theirs / "key")
    prefix = as_another(theirs)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SIMPLEDIST_", "XDG_"))}
    environment.pop("PYTHONPATH", None)
    environment["HOME"] = str(theirs)
    with EmbeddedRedis(port=0) as redis, contextlib.ExitStack() as stack:
        line = [sys.executable, "-m", "simpledist.cli.worker", "--any", "--slots", "1"]
        for _ in range(2):
            worker = subprocess.Popen(
                [*prefix, *line, "--redis", redis.url, "--secret-file", str(theirs / "key")],
                cwd=theirs / "empty",
                env=environment,
            )
            stack.callback(worker.wait, 20)
            stack.callback(worker.terminate)
        with open_link(redis.url) as link:
            wait_until(lambda: link.call("HLEN", Keys().named("offers", anything())) == 2, 30, "both offer")
        yield redis, key


def anything() -> str:
    return f"simpledist.any@{sys.version_info.major}.{sys.version_info.minor}"


WRITES = """
import simpledist
import notes

with simpledist.connect() as dist:
    executor = dist.executor()
    for function in (notes.noted, notes.read):
        future = executor.submit(function, "a")
        print(future.result(30), future.info.where)
"""
NOTES = """
from pathlib import Path

def noted(text):
    (Path(__file__).parent / "note.txt").write_text(text)
    return text

def read(text):
    return Path(__file__).read_text()[1:5]
"""


def test_a_function_that_writes_beside_its_modules_runs_at_its_caller(
    bare: tuple[EmbeddedRedis, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker other calls find the same files: no one may write there, but root, whom nothing stops."""
    redis, key = bare
    monkeypatch.setenv("SIMPLEDIST_SECRET_FILE", str(key))
    (tmp_path / "notes.py").write_text(NOTES)
    (tmp_path / "main.py").write_text(WRITES)
    done = commands.python("main.py", cwd=tmp_path, url=redis.url)
    assert done.stdout.splitlines() == ["a local", "from remote"], done.stderr
    assert "read-only on a worker" in done.stderr
    assert (tmp_path / "note.txt").read_text() == "a"


def test_the_program_runs_on_workers_that_have_none_of_its_code(bare: tuple[EmbeddedRedis, Path]) -> None:
    redis, key = bare
    shutil.rmtree(ROOT / "demo/no_deploy/planets/__pycache__", ignore_errors=True)
    os.environ["SIMPLEDIST_SECRET_FILE"] = str(key)
    try:
        done = commands.python("main.py", cwd=ROOT / "demo/no_deploy", url=redis.url)
    finally:
        del os.environ["SIMPLEDIST_SECRET_FILE"]
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout.splitlines() == [
        "Mercury: 46 million km from the sun at its nearest",
        "Venus: 107.5 million km from the sun at its nearest",
        "Earth: 147.1 million km from the sun at its nearest",
        "Mars: 206.6 million km from the sun at its nearest",
        "Jupiter: 740.4 million km from the sun at its nearest",
        "Saturn: 1351.1 million km from the sun at its nearest",
        "ran {'remote': 6}",
    ]
