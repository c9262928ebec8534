"""What is not imported: each of these costs a program's start more than all of ours together."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cloudpickle", "flask", "rich", "waitress", "fakeredis", "click", "numpy", "multiprocessing")


def imported_by(program: str) -> set[str]:
    """The modules there are once `program` has run in a fresh interpreter."""
    line = f"import sys\n{program}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_import_simpledist_imports_hardly_anything() -> None:
    modules = imported_by("import simpledist")
    assert "redis" not in modules
    assert {name for name in modules if name.startswith("simpledist")} == {"simpledist"}
    assert not modules.intersection(HEAVY)


def test_to_wrap_a_function_takes_no_redis() -> None:
    modules = imported_by("import simpledist\nsimpledist.worker_function(simpledist.connect(), 'f', divmod)")
    assert not modules.intersection({"redis", "asyncio", "ssl", "html", *HEAVY})


def test_a_client_imports_redis_and_nothing_else_that_is_heavy() -> None:
    program = (
        "import simpledist\n"
        "client = simpledist.connect('redis://127.0.0.1:1')\n"
        "assert simpledist.worker_function(client, 'f', lambda: 1)() == 1\n"
        "client.close()"
    )
    modules = imported_by(program)
    assert "redis" in modules
    assert not modules.intersection(HEAVY)


def test_what_runs_user_code_knows_no_redis() -> None:
    modules = imported_by("import simpledist.worker.template, simpledist.worker.child")
    assert "redis" not in modules
    assert not {name for name in modules if name.startswith("simpledist.broker")}
    assert not modules.intersection(HEAVY)


@pytest.mark.parametrize(
    ("module", "may"),
    [
        ("simpledist.cli.main", {"click"}),
        ("simpledist.cli.worker", {"click"}),
        ("simpledist.cli.call", {"click"}),
        ("simpledist.cli.distributor", {"click"}),
    ],
)
def test_a_command_line_imports_what_it_needs(module: str, may: set[str]) -> None:
    assert imported_by(f"import {module}").intersection(HEAVY) <= may


def test_the_overview_of_commands_needs_no_redis() -> None:
    assert "redis" not in imported_by("import simpledist.cli.main")
