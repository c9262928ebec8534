"""The command line of `simpledist slurm submit`, without a Slurm: usage, and what a Slurm may answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.embedded import EmbeddedRedis
from tests.commands import MAIN, complaint, run
from tests.integration.conftest import FUNCTIONS

MADE = "makes and names its own job arrays"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "what the workers offer"),
        (["--", "--slots", "2"], "what the workers offer"),
        (["farm", "--", "farm"], "'farm' is no option of sbatch: targets are behind a --"),
        (["-p", "debug", "farm", "--", "farm"], "'farm' is no option of sbatch"),
        (["--time=5", "farm", "--", "farm"], "'farm' is no option of sbatch"),
        (["--array=1-3", "--", "farm"], MADE),
        (["-a1-3", "--", "farm"], MADE),
        (["--wrap", "x", "--", "farm"], MADE),
        (["-J", "mine", "--", "farm"], MADE),
        (["--min", "3", "--max", "2", "--", "farm"], "--min 3 is more than --max 2"),
        (["--max", "0", "--", "farm"], "--max"),
        (["--seconds", "nan", "--", "farm"], "--seconds"),
        (["--", "farm", "--slots", "0"], "--slots"),
        (["--", "farm", "--redis", "redis://x"], "--redis goes before the --"),
        (["--redis", "redis://example.com", "--", "farm"], "simpledist secret FILE"),
    ],
    ids=str,
)
def test_wrong_usage_is_one_line_and_exit_code_2(words: list[str], expected: str) -> None:
    done = run("slurm", "submit", *words)
    assert expected in complaint(done)
    assert done.returncode == 2


def test_without_slurm_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("slurm", "submit", "-p", "debug", "--", "farm")
    assert "there is no sbatch and no squeue and no scancel on the path" in complaint(done)
    assert done.returncode == 2


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


class StandIns:
    """Programs with the names of Slurm's, which write their words to a file and do as a test says."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.variables: dict[str, str] = {}
        for name in ("sbatch", "squeue", "scancel"):
            self.does(name, "exit 0")

    def does(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> {self.folder}/calls\n{script}\n')
        program.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(f"{name} ")]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLEDIST_")}
        environment["PATH"] = f"{self.folder}:{os.environ['PATH']}"
        environment["XDG_CACHE_HOME"] = str(self.folder / "cache")
        environment.update(self.variables)
        return subprocess.run(
            [sys.executable, "-m", MAIN, "slurm", "submit", "--redis", self.url, "--once", *words],
            cwd=FUNCTIONS,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def slurm(tmp_path: Path, redis: EmbeddedRedis) -> StandIns:
    return StandIns(tmp_path, redis.url)


def test_a_target_that_is_none_is_one_line_before_anything_is_submitted(slurm: StandIns) -> None:
    done = slurm.run("--min", "1", "--", "no_such_module")
    assert "target no_such_module: there is no module no_such_module here" in complaint(done)
    assert done.returncode == 2
    assert not (slurm.folder / "calls").exists()


def test_an_option_that_sbatch_refuses_is_its_own_line(slurm: StandIns) -> None:
    slurm.does("sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    done = slurm.run("-p", "x", "--", "farm:fib")
    assert "Slurm would not take these jobs: sbatch: error: invalid partition specified: x" in complaint(done)
    assert done.returncode == 2


def test_a_controller_that_is_away_is_one_line_and_exit_code_1(slurm: StandIns) -> None:
    away = "Unable to contact slurm controller (connect failure)"
    for name in ("sbatch", "squeue"):
        slurm.does(name, f"echo '{name}: error: {away}' >&2; exit 1")
    done = slurm.run("--", "farm:fib")
    assert away in done.stderr.splitlines()[-1]
    assert done.returncode == 1


def test_words_before_the_dashes_are_for_sbatch_and_ours_are_not(slurm: StandIns) -> None:
    slurm.does("sbatch", "echo 17")
    done = slurm.run("--min=1", "-p", "debug", "--max", "2", "--mem=4G", "--", "farm:fib", "--grace", "100")
    assert "submitted 1 job: 17" in done.stdout, done.stderr
    call = (slurm.folder / "calls").read_text().split("--parsable")[0]
    assert "-p debug --mem=4G" in call
    assert "--signal=TERM@130" in call, "Slurm's notice comes before the end of the grace"
    assert "--max" not in call
    assert "--min" not in call


def test_slurm_keeps_neither_the_url_of_redis_nor_another_one_that_was_set(slurm: StandIns) -> None:
    slurm.does("sbatch", f"env > {slurm.folder}/environment; echo 17")
    slurm.variables["SIMPLEDIST_REDIS_URL"] = "redis://:dont-show-this-password@localhost:1/0"
    done = slurm.run("--min=1", "--", "farm:fib")
    assert "submitted 1 job: 17" in done.stdout, done.stderr
    kept = (slurm.folder / "environment").read_text() + (slurm.folder / "calls").read_text()
    assert "dont-show-this-password" not in kept
    assert slurm.url not in kept
    (file,) = (slurm.folder / "cache").glob("*/*/redis-url")
    assert file.read_text().strip() == slurm.url
    assert file.stat().st_mode & 0o777 == 0o600


def test_when_demand_falls_only_what_has_not_started_is_cancelled(slurm: StandIns) -> None:
    # Its name is the same each time; the last line is a job of another command.
    rows = "21|1|$name|RUNNING|None\\n21|2|$name|PENDING|Resources\\n21|3|$name|PENDING|Resources\\n9|1|other|PENDING|x"
    slurm.does("squeue", "for word; do case $word in --name=*) name=${word##*,};; esac; done\n" + f'printf "{rows}\\n"')
    done = slurm.run("--", "farm:fib")
    assert done.returncode == 0, done.stderr
    assert "1 job running, 2 waiting (Resources); 0 calls want 0 workers" in done.stdout
    (call,) = slurm.calls("scancel")
    assert call.split() == ["scancel", "--state=PENDING", "21_3", "21_2"]


def test_a_folder_of_another_mode_is_refused(slurm: StandIns) -> None:
    folder = slurm.folder / "cache" / "simpledist-slurm"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    done = slurm.run("--", "farm:fib")
    assert "chmod 700 it" in complaint(done)
    assert done.returncode == 2
