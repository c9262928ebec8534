"""Virtual environments beside the tests' own: for another Python, or with packages that our tests do not need.

Each lies in the clone, as `.venv-NAME`, and is made once: again when what it should hold has changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.trees import ROOT

PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def pythons(version: str) -> Iterator[str]:
    """The Pythons of this minor that really run: version managers leave shims that do not."""
    folder = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    question = f"import sys, ensurepip; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
    here = [found] if (found := shutil.which(f"python{version}")) else []
    for candidate in (*here, *map(str, sorted(folder.glob(f"{version}.*/bin/python")))):
        try:
            if subprocess.run([candidate, "-c", question], capture_output=True, check=False).returncode == 0:
                yield candidate
        except OSError:
            continue


def python(version: str) -> str | None:
    """Return a Python of this minor; None if there is none."""
    return next(pythons(version), None)


def environment(
    name: str,
    needed: Sequence[str],
    *,
    extra: str = "",
    executable: str = sys.executable,
    add: Callable[[str, Path], None] | None = None,
) -> str:
    """Return the Python of `.venv-NAME`, with this tree (and one of its extras) and what is needed in it.

    `add(python, folder)` puts more into a new one.
    """
    folder = ROOT / f".venv-{name}"
    inside, made = str(folder / "bin" / "python"), folder / ".made"
    contents = "\n".join((executable, extra, *needed))
    if not made.exists() or made.read_text() != contents:
        print(f"an environment in {folder.name}: some minutes", file=sys.stderr, flush=True)
        subprocess.run([executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([inside, *PIP, "install", "--editable", f".{extra}", *needed], cwd=ROOT, check=True)
        if add is not None:
            add(inside, folder)
        made.write_text(contents)
    return inside
