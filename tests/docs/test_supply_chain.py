"""What is fetched from elsewhere is named by its hash: packages of CI, images; and something renews the names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PINNED = (ROOT / ".ci" / "requirements.txt").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
DIGEST = re.compile(r"\S+:\d[\w.-]*@sha256:[0-9a-f]{64}")


def blocks() -> list[str]:
    """Each pinned package with its hashes."""
    return re.split(r"\n(?=[a-z])", PINNED[PINNED.index("\n", PINNED.index("make hashes")) + 1 :].strip())


def test_each_package_of_ci_is_one_version_with_hashes() -> None:
    assert len(blocks()) > 50
    for block in blocks():
        assert re.match(r"[a-z0-9-]+==\S+( ; .+)? \\\n", block), block[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block[:80]
    assert "://" not in PINNED, "no index is named: the one that the machine is set to serves"


def test_ci_pins_all_that_the_tests_and_the_build_ask_for() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(requires|dependencies|embedded|test) = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in lists] == ["requires", "dependencies", "embedded", "test"]
    asked = {
        name
        for _, text in lists
        for name in re.findall(r'^ *"([a-z][\w-]*)', text.replace('", "', '"\n"'), re.MULTILINE)
    }
    assert len(asked) > 20
    assert asked - {"simpledist"} <= {re.split("==", block, maxsplit=1)[0] for block in blocks()}


def test_ci_installs_by_hash_and_falls_back_where_the_index_lacks_something() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert "make install HASHED=1 ||" in ci
    assert ci.index("make install HASHED=1") < ci.index("make test ")
    assert "--require-hashes --requirement .ci/requirements.txt" in MAKEFILE


def test_every_image_is_pinned_by_its_digest() -> None:
    compose: Any = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    images = [service["image"] for service in compose["services"].values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) > 1
    assert [image for image in images if not DIGEST.fullmatch(image)] == []


def test_something_looks_for_newer_versions_of_all_that_is_pinned() -> None:
    updates: Any = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    looked_at = {one["package-ecosystem"]: one.get("directories") or [one["directory"]] for one in updates}
    assert looked_at.keys() == {"pip", "github-actions", "docker", "docker-compose"}
    assert set(looked_at["pip"]) == {"/", "/.ci"}


def test_an_install_from_a_checkout_leaves_nothing_in_it(tmp_path: Path) -> None:
    tree, wheels = tmp_path / "tree", tmp_path / "wheels"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rooms = ("simpledist", "web", "pyproject.toml", "setup.py", "README.md", "LICENSE")
    for name in (one for one in listed.split("\0") if one.partition("/")[0] in rooms):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    before = {*tree.rglob("*")}
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, tree], check=True)
    assert {*tree.rglob("*")} == before
    assert len([*wheels.glob("simpledist-*.whl")]) == 1
