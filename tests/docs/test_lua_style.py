"""The Lua files are as stylua formats them, and luacheck finds nothing in the scripts that Redis gets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from simpledist.broker import scripts
from tests import needs

ROOT = Path(__file__).parents[2]
STYLUA = "@johnnymorganz/stylua@2.5.2"


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_luacheck_finds_nothing(verb: str) -> None:
    luacheck = needs.program("luacheck")
    found = subprocess.run(
        [luacheck, "--no-color", "-"],
        input=scripts.load()[verb].for_people(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_the_files_are_formatted(tmp_path: Path) -> None:
    npm, node = needs.program("npm"), needs.program("node")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(tmp_path), STYLUA]
    if subprocess.run(install, capture_output=True, timeout=120, check=False).returncode:
        needs.missing(f"npm cannot fetch {STYLUA}")
    library = tmp_path / "node_modules" / "@johnnymorganz" / "stylua" / "stylua_lib_node.cjs"
    files = sorted((ROOT / "simpledist" / "broker" / "lua").glob("*.lua"))
    assert len(files) > 20
    found = subprocess.run(
        [node, "tests/stylua.cjs", library, "stylua.toml", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, f"not as stylua formats them:\n{found.stdout}{found.stderr}"
