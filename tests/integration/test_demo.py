"""`simpledist demo`: the whole story, and nothing left of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from simpledist.embedded import HOST, ask


def test_the_demo_goes_as_promised_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simpledist.cli.main", "demo"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "not as promised" not in done.stdout
    assert "fib(20)  ->  6765" in done.stdout
    assert "fib(20)  ->  'local'" in done.stdout
    assert "48/48" in done.stdout
    port = re.search(rf"http://{re.escape(HOST)}:(\d+)/", done.stdout)
    assert port is not None
    assert ask((HOST, int(port[1])), b"GET / HTTP/1.0\r\n\r\n") == b""
    assert list(tmp_path.iterdir()) == []
