"""Programs of a user, with modules beside them, as a test writes and runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def shown_by(
    program: str, files: Mapping[str, str], place: Path, *, begin: str, environment: Mapping[str, str]
) -> list[Any]:
    """Run a program, after the lines of `begin`, in a folder with these files; return what it shows, lines of JSON."""
    for name, text in {**files, "main.py": begin + textwrap.dedent(program)}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=place,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
