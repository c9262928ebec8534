"""Which packages beside a function's own are first-party, what their code is, and what was said to depend on."""

from __future__ import annotations

import importlib
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from simpledist.code import first_party
from simpledist.code.digest import CodeDigest, Digests
from simpledist.code.first_party import VARIABLE, hash_of, is_first_party
from tests.sources import Sources


def of(function: Any, **more: Any) -> CodeDigest:
    return Digests().of(function, **more)


@pytest.fixture
def app(sources: Sources) -> Sources:
    """`app` uses `helpers`, which uses `lower` in one of its modules, and `unused` in another."""
    sources.tree(
        {
            "app.py": "from helpers.near import g\ndef f(x): return g(x)\n",
            "helpers/__init__.py": "",
            "helpers/near.py": "import lower\ndef g(x): return lower.h(x)\n",
            "helpers/far.py": "import unused\ndef k(x): return unused.l(x)\n",
            "lower.py": "def h(x): return x\n",
            "unused.py": "def l(x): return x\n",
        }
    )
    return sources


def record(folder: Path, name: str, *, direct: bool = False) -> None:
    """Make a package in a folder one that a distribution has installed."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    lines = [
        f"{path.relative_to(folder)},sha256={urlsafe_b64encode(sha256(path.read_bytes()).digest()).decode().rstrip('=')},"
        f"{path.stat().st_size}"
        for path in (folder / name).rglob("*.py")
    ]
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,"]))
    if direct:
        (info / "direct_url.json").write_text("{}")


def test_what_no_distribution_lists_is_first_party_and_followed_through_packages(app: Sources) -> None:
    assert sorted(of(app.get("app:f")).packages) == ["helpers", "lower"]


def test_a_change_of_another_package_changes_its_hash_and_not_the_digest(app: Sources) -> None:
    was = of(app.get("app:f"))
    app.write("lower.py", "def h(x): return x + 1\n")
    now = of(app.get("app:f"))
    assert now.text == was.text
    assert now.packages["helpers"] == was.packages["helpers"]
    assert now.packages["lower"] != was.packages["lower"]


def test_comments_and_line_ends_do_not_change_its_hash_but_imports_do(app: Sources) -> None:
    was = hash_of("helpers")
    (app.folder / "helpers/near.py").write_bytes(b"# why\r\nimport lower\r\ndef g(x: int): return lower.h(x)\r\n")
    assert hash_of("helpers") == was
    app.write("helpers/near.py", "import unused as lower\ndef g(x): return lower.h(x)\n")
    assert hash_of("helpers") != was


def test_an_installed_package_is_not_first_party_unless_it_came_from_a_folder_or_is_named(
    app: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(app.folder, "helpers")
    assert not is_first_party("helpers")
    assert of(app.get("app:f")).packages == {}
    monkeypatch.setenv(VARIABLE, "other, helpers")
    assert is_first_party("helpers")


def test_what_was_installed_from_a_folder_is_first_party(app: Sources) -> None:
    record(app.folder, "helpers", direct=True)
    assert sorted(of(app.get("app:f")).packages) == ["helpers", "lower"]


@pytest.mark.parametrize("limit", [first_party.BY_CODE_BYTES, 0])
def test_a_checkout_and_a_wheel_of_the_same_source_have_the_same_hash(
    app: Sources, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_party, "BY_CODE_BYTES", limit)
    app.write("helpers/tests/test_it.py", "def test(): pass\n")
    was = hash_of("helpers")
    (app.folder / "helpers/tests/test_it.py").unlink()
    record(app.folder, "helpers")
    first_party._claims.cache_clear()  # type: ignore[attr-defined]
    assert hash_of("helpers") == was != ""


def test_packages_of_a_system_without_records_are_not_first_party(sources: Sources) -> None:
    sources.write("dist-packages/yams/__init__.py", "")
    sources.write("dist-packages/PyYams-5.3.egg-info/top_level.txt", "yams\n")
    sources.lead_to(sources.folder / "dist-packages")
    assert not is_first_party("yams")


@pytest.mark.parametrize("name", ["json", "os", "distutils", "tomllib", "sys", "test", "_testcapi", "missing_package"])
def test_the_standard_library_of_no_python_is_first_party(name: str) -> None:
    assert not is_first_party(name)


def test_a_zipped_package_has_the_hash_of_its_files(app: Sources) -> None:
    was = hash_of("helpers")
    archive = app.folder / "libs.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (app.folder / "helpers").glob("*.py"):
            zipped.write(path, f"helpers/{path.name}")
            path.unlink()
    (app.folder / "helpers").rmdir()
    app.lead_to(archive)
    assert is_first_party("helpers")
    assert hash_of("helpers") == was != ""


def test_a_part_of_a_namespace_package_is_a_package_of_its_own(sources: Sources) -> None:
    sources.tree(
        {
            "ns/one/__init__.py": "from ns.two import g\ndef f(x): return g(x)\n",
            "ns/two/__init__.py": "def g(x): return x\n",
            "ns/three/__init__.py": "def l(x): return x\n",
        }
    )
    found = of(sources.get("ns.one:f"))
    assert found.tree is not None
    assert found.tree.own == "ns.one"
    assert list(found.packages) == ["ns.two"]


# --- depends and ignore ------------------------------------------------------------------------------------------


@pytest.fixture
def plugins(sources: Sources) -> Sources:
    sources.tree(
        {
            "pk/__init__.py": "",
            "pk/main.py": "from pk import settings\ndef f(x): return settings.N + load(x)\ndef load(x): ...\n",
            "pk/settings.py": "N = 1\n",
            "pk/fast.py": "def run(x): return x\ndef rest(): return 0\n",
            "data/table.txt": "1 2 3",
        }
    )
    return sources


@pytest.mark.parametrize("depends", ["pk.fast", "pk.fast:run"])
def test_what_it_depends_on_counts(plugins: Sources, depends: str) -> None:
    f = plugins.get("pk.main:f")
    was = of(f, depends=[depends]).text
    assert was not in ("", of(f).text)
    plugins.write("pk/fast.py", "def run(x): return -x\ndef rest(): return 0\n")
    assert of(f, depends=[depends]).text != was


def test_a_function_or_module_that_it_depends_on_may_be_given_itself(plugins: Sources) -> None:
    main = plugins.load("pk.main")
    fast: Any = importlib.import_module("pk.fast")
    found = {of(main.f, depends=[one]).text for one in (fast, fast.run, fast.rest)}
    assert len(found | {"", of(main.f).text}) == 5
    assert of(main.f, depends=[fast]).text == of(main.f, depends=["pk.fast"]).text


def test_files_and_folders_that_it_depends_on_count_by_content(plugins: Sources) -> None:
    f, folder = plugins.get("pk.main:f"), plugins.folder / "data"
    was = [of(f, depends=[path]).text for path in (folder, folder / "table.txt")]
    moved = folder.rename(plugins.folder / "moved")
    assert [of(f, depends=[path]).text for path in (moved, moved / "table.txt")] == was
    (moved / "table.txt").write_text("1 2 4")
    now = [of(f, depends=[path]).text for path in (moved, moved / "table.txt")]
    assert len({*was, *now, ""}) == 5


@pytest.mark.parametrize("depends", ["pk.gone", "pk.fast:gone", Path("no-such-file")])
def test_what_it_depends_on_and_is_not_there_leaves_it_without_a_digest(plugins: Sources, depends: Any) -> None:
    found = of(plugins.get("pk.main:f"), depends=[depends])
    assert found.text == ""
    assert "it depends on" in found.reason


@pytest.mark.parametrize("ignore", ["pk.settings", "pk.settings:N", "pk.main:load"])
def test_what_is_ignored_does_not_count(plugins: Sources, ignore: str) -> None:
    f = plugins.get("pk.main:f")
    was = of(f, ignore=[ignore]).text
    plugins.write("pk/settings.py", "N = 2\n")
    f = plugins.get("pk.main:f")
    assert (of(f, ignore=[ignore]).text == was) == ("settings" in ignore)
    assert was != ""


def test_an_ignored_package_does_not_count(app: Sources) -> None:
    assert of(app.get("app:f"), ignore=["helpers"]).packages == {}
