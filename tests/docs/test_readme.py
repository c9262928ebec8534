"""README's Python runs, its story gives the values that it prints, its commands exist."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from simpledist.cluster import Cluster
from tests import commands

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo"
README = (ROOT / "README.md").read_text()


def story() -> list[str]:
    """The lines of the three-terminal story from the first prompt on."""
    block = README.split("    >>> import simpledist\n")[1].split("\n\n")[0]
    return ["import simpledist", *(line.strip().removeprefix(">>> ") for line in block.splitlines())]


def test_the_first_example_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    with Cluster("fns", folder=DEMO, slots=2) as cluster:
        result = commands.python("-c", code, cwd=DEMO, url=cluster.url)
    assert result.stderr == ""
    assert result.stdout.split() == [
        "6765",
        str(sum([0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181])),
    ]


def test_the_story_gives_the_values_that_it_prints() -> None:
    seen: list[Any] = []
    with Cluster("fns:fib", folder=DEMO, slots=2, distributor=True) as cluster:
        names: dict[str, Any] = {}
        for line in story():
            code, _, comment = line.partition("#")
            comment = comment.strip()
            if line.startswith("(stop the worker"):
                cluster.workers[-1].stop(signal.SIGINT)
            elif line.startswith("(start it again"):
                cluster.start_worker()
            elif comment:
                value = eval(code, names)
                seen.append(value)
                if comment[0].isdigit() or comment[0] == "'":
                    assert value == ast.literal_eval(comment.split(":")[0]), line
            else:
                exec(code.replace("connect()", f"connect({cluster.url!r})"), names)
        names["dist"].close()
    assert seen[:3] == [6765, "local", 6765]
    assert seen[3][:8] == [0, 1, 1, 2, 3, 5, 8, 13]
    assert len(seen[3]) == 35


def test_every_command_of_the_readme_exists() -> None:
    folder = Path(sys.executable).parent
    for command in sorted(set(re.findall(r"^ {4}(simpledist[a-z-]*)", README, re.MULTILINE))):
        result = subprocess.run([folder / command, "--help"], capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 0, command
        assert result.stdout.startswith("Usage:")
