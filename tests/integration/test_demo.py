"""`simpledist demo`: the whole story, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simpledist.embedded import HOST, ask
from tests.commands import MAIN, run

GET = b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", MAIN, "demo", "--keep"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "80"},
    )


def test_the_demo_goes_as_promised_stays_until_enter_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        story = ""
        for line in process.stdout:
            story += line
            if "export SIMPLEDIST_REDIS_URL" in line:
                break
        port = re.search(rf"http://{re.escape(HOST)}:(\d+)/", story)
        url = re.search(r"SIMPLEDIST_REDIS_URL=(\S+)", story)
        assert port is not None, story
        assert url is not None, story
        assert b" 200 " in ask((HOST, int(port[1])), GET)
        assert run("call", "--redis", url[1], "fib", "20").stdout == "6765\n"
        rest, errors = process.communicate("\n", timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "stops all its processes" in rest
    assert "not as promised" not in story
    assert "fib(20)  ->  6765" in story
    assert "fib(20)  ->  'local'" in story
    assert "48/48" in story
    assert max(len(line) for line in story.splitlines() if "export" not in line) <= 80
    assert ask((HOST, int(port[1])), GET) == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "worker-1" in line:
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
