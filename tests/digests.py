"""`make digests`: do well-known packages have the same code digests on every Python? Prints a table, a row a package.

Installs them once, with the oldest Python, into a folder that all Pythons read: they are pure Python, so the source is
the same. Asks each Python for the digest of every public function; ends with 1 if any two differ, or a Python is
missing. `ARGS='click rich'` asks for these alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.matrix import python
from tests.trees import ROOT

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
PACKAGES = (
    "attrs",
    "click",
    "flask",
    "jinja2",
    "networkx",
    "packaging",
    "pygments",
    "requests",
    "rich",
    "sympy",
)
MODULES = {"attrs": "attr"}
# The package itself would import redis, which these Pythons need not have: a stand-in lets its modules be imported.
STAND_IN = """
import sys, types
package = types.ModuleType("simpledist")
package.__path__ = [sys.argv[1] + "/simpledist"]
sys.modules["simpledist"] = package
from simpledist.code.digest import Digests
"""
PROGRAM = (
    STAND_IN
    + """
import importlib, inspect, json, pkgutil, time, warnings
warnings.simplefilter("ignore")
top = importlib.import_module(sys.argv[2])
names = [sys.argv[2], *(one.name for one in pkgutil.walk_packages(top.__path__, sys.argv[2] + ".", onerror=print))]
found, seconds = {}, []
for name in names:
    if not {"tests", "__main__"}.isdisjoint(name.split(".")):
        continue
    try:
        importlib.import_module(name)
    except BaseException:
        continue  # an option that is not installed
functions = {}
for name in names:
    for attribute, value in list(vars(sys.modules.get(name, types)).items()):
        public = not any(part.startswith("_") for part in (*name.split("."), attribute))
        if public and callable(value) and getattr(value, "__module__", None) == name:
            functions[name + ":" + attribute] = value
for _ in range(2):  # from the sources, then from what was kept of them
    digests, began, longest = Digests(), time.process_time(), 0.0
    for name, value in functions.items():
        since = time.process_time()
        one = digests.of(value)
        longest = max(longest, time.process_time() - since)
        found[name] = one.text or "none: " + one.reason
    seconds.append((time.process_time() - began, longest))
print(json.dumps({"found": found, "seconds": seconds}))
"""
)


def ask(executable: str, package: str, folder: Path, *, options: tuple[str, ...] = (), **more: str) -> dict[str, Any]:
    """Return what a Python says of a package: `found`, name -> digest or why there is none, and `seconds`, twice."""
    with tempfile.TemporaryDirectory(prefix="digests-") as cache:
        variables = {**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": cache, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [executable, *options, "-c", PROGRAM, str(ROOT), package],
            env={**variables, **more},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=folder,
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Print the whole table; returns the exit code."""
    pythons = {version: python(version) for version in VERSIONS}
    if missing := [version for version, executable in pythons.items() if executable is None]:
        print(f"no Python {' '.join(missing)} here: pyenv install {' '.join(missing)}", file=sys.stderr)
        return 1
    packages = [one for one in PACKAGES if one in sys.argv[1:] or not sys.argv[1:]]
    worst = 0
    with tempfile.TemporaryDirectory(prefix="digests-") as name:
        pip = [str(pythons[VERSIONS[0]]), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--root-user-action", "ignore", "--target", name, *packages], check=True)
        print("| package | functions | differ | without a digest | cold s | warm s | longest s |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for package in packages:
            worst += _row(package, Path(name), [str(one) for one in pythons.values()])
    return 1 if worst else 0


def _row(package: str, folder: Path, executables: list[str]) -> int:
    """Print a package's row; return how many of its functions differ."""
    said = [ask(executable, MODULES.get(package, package), folder) for executable in executables]
    everywhere = set(said[0]["found"]).intersection(*(one["found"] for one in said))
    differ = sorted(name for name in everywhere if len({one["found"][name] for one in said}) > 1)
    without = sorted(name for name in everywhere if said[0]["found"][name].startswith("none"))
    (cold, longest), (warm, _) = said[0]["seconds"]
    print(
        f"| {package} | {len(everywhere)} | {len(differ)} | {len(without)} | {cold:.2f} | {warm:.2f} | {longest:.2f} |",
        flush=True,
    )
    for name in [*differ, *without]:
        print(f"{name}: {' '.join(dict.fromkeys(one['found'][name] for one in said))}", file=sys.stderr)
    return len(differ)


if __name__ == "__main__":
    sys.exit(main())
