"""A bar for calls under way: right in a terminal, in a notebook and in a log file, on real ones of each."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from rich.console import Console

import simpledist
from simpledist.client import progress
from simpledist.client.progress import Bar
from simpledist.cluster import Cluster
from tests.integration.functions import farm
from tests.interfaces.conftest import FUNCTIONS

PROGRAM = """
import farm, simpledist
with simpledist.connect() as client:
    sleep = simpledist.worker_function(client, "sleep", farm.sleep)
    nobody = simpledist.worker_function(client, "nobody", farm.fail, ship=False)
    futures = [sleep.submit(0.05) for _ in range(10)] + [nobody.submit("key") for _ in range(2)]
    for future in simpledist.track(futures, "naps"):
        pass
    print("done")
"""
ENDED = r"naps.*12/12.*[\d.]+/s.*in 0:00:0\d.*remote 10.*local 2.*failed 2"


def started(cluster: Cluster, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url, "TERM": "xterm-256color", "COLUMNS": "110"}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=FUNCTIONS,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def warning(text: str) -> str:
    """Return the line about the calls that run here, which a program without logging shows once."""
    (line,) = re.findall(r"function nobody: calls run here \(no_worker\): .*\n", text)
    return line


def test_in_a_terminal_it_is_one_line_that_moves(cluster: Cluster) -> None:
    ours, theirs = pty.openpty()
    process = started(cluster, stderr=theirs)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # how a terminal says that the other side is gone
        while data := os.read(ours, 4096):
            written += data
    os.close(ours)
    assert process.communicate(timeout=30)[0] == "done\n"
    assert process.returncode == 0
    text = written.decode()
    assert "\x1b[?25l" in text  # the cursor goes
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # and comes back
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    frames = [frame for frame in re.split(r"[\r\n]+", plain.replace(warning(plain), "")) if frame.strip()]
    assert len(frames) > 1
    assert re.search(ENDED, frames[-1])
    assert max(len(frame) for frame in frames) <= 110
    assert any(" left " in frame for frame in frames)


def test_in_a_log_file_it_is_a_plain_line(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        process = started(cluster, stderr=file)
        assert process.communicate(timeout=30)[0] == "done\n"
    text = log.read_text()
    lines = text.replace(warning(text), "").splitlines()
    assert len(lines) == 1  # it took less than ten seconds
    assert re.fullmatch(ENDED, lines[0])
    assert "\x1b" not in lines[0]


def test_in_a_notebook_it_is_one_display_that_is_updated(cluster: Cluster) -> None:
    v4: Any = nbformat.v4
    cell = v4.new_code_cell(PROGRAM.replace("connect()", f"connect({cluster.url!r})"))
    book = v4.new_notebook(cells=[cell])
    notebook = nbclient.NotebookClient(
        book, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(FUNCTIONS)}}
    )
    notebook.execute()
    displays = [output for output in cell.outputs if output.output_type == "display_data"]
    assert len(displays) == 1
    page = displays[0].data["text/html"]
    assert '<progress value="12" max="12">' in page
    assert re.search(ENDED, re.sub(r"<[^>]*>", "", page))


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("chunksize", [1, 7])
def test_a_map_shows_how_it_comes_along(
    client: simpledist.Client, capsys: pytest.CaptureFixture[str], chunksize: int
) -> None:
    fib = simpledist.worker_function(client, "fib", farm.fib)
    assert list(fib.map(range(15), progress=True, chunksize=chunksize)) == [farm.fib(n) for n in range(15)]
    assert re.match(r"fib: 15/15, .*in 0:00:0\d, remote 15, local 0, failed 0", last_line(capsys))


def test_a_map_counts_what_fails_and_runs_here(client: simpledist.Client, capsys: pytest.CaptureFixture[str]) -> None:
    def positive(n: int) -> int:
        if n <= 0:
            raise ValueError(n)
        return n

    nobody = simpledist.worker_function(client, "nobody", positive, ship=False)
    outcomes = nobody.map(iter([-1, 0, 1, 2]), progress=True)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"-1|0"):
            next(outcomes)
    assert list(outcomes) == [1, 2]
    assert re.match(r"nobody: 4, .*remote 0, local 4, failed 2", last_line(capsys))


def test_a_map_that_is_given_up_ends_its_bar(client: simpledist.Client, capsys: pytest.CaptureFixture[str]) -> None:
    sleep = simpledist.worker_function(client, "sleep", farm.sleep)
    outcomes = sleep.map([0.0, 60.0, 60.0, 60.0], progress=True)
    assert next(outcomes) == 0.0
    outcomes.close()
    assert re.match(r"sleep: 4/4, .*remote 1, local 0, failed 0, cancelled 3", last_line(capsys))


def test_lines_are_rate_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.2)
    file = io.StringIO()
    with Bar("calls", 400, console=Console(file=file)) as bar, simpledist.connect("memory://") as client:
        sleep = simpledist.worker_function(client, "sleep", farm.sleep)
        for _ in range(400):
            bar.watch([sleep.submit(0.002)])  # each is run before submit returns: 0.8 s in all
    lines = file.getvalue().splitlines()
    assert 3 <= len(lines) <= 25
    assert lines[-1].startswith("calls: 400/400, ")
    done = [int(line.split("/")[0].removeprefix("calls: ")) for line in lines]
    assert done == sorted(done)


def test_it_follows_futures_of_any_kind_in_the_order_given(
    client: simpledist.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    sleep = simpledist.worker_function(client, "sleep", farm.sleep)
    with client.executor() as executor:
        futures = [executor.submit(abs, -1), sleep.submit(0.3), sleep.submit(0.0)]
        cancelled = sleep.submit(60)
        assert cancelled.cancel()
        assert list(simpledist.track([*futures, cancelled])) == [*futures, cancelled]
    assert re.search(r"calls: 4/4, .*remote 3, local 0, failed 0, cancelled 1\n", capsys.readouterr().err)
