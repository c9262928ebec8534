"""Which files go with a call: this program's own modules that it leads to, as they are loaded, and nothing else."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from simpledist import wire
from simpledist.code.index import imports_from_json, imports_in, imports_to_json, index_of
from simpledist.code.travelling_modules import Program
from simpledist.errors import NotPacked
from tests import needs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(tmp_path) in f"{getattr(module, '__file__', '')} {getattr(module, '__path__', '')}":
            del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def load(name: str) -> ModuleType:
    importlib.invalidate_caches()
    return importlib.import_module(name)


def files_of(program: Program, *things: Any) -> dict[str, bytes] | None:
    archive = program.archive_of(wire.encode_arguments("pickle", things))
    if archive is None:
        return None
    with zipfile.ZipFile(io.BytesIO(archive.data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def test_a_module_brings_what_it_imports_wherever_it_does_so(project: Path) -> None:
    write(
        project,
        {
            "lib/__init__.py": "",
            "lib/core.py": "import json, psutil\nfrom . import near\nfrom lib.other import f\n\n"
            "def work():\n    import lazy\n    return lazy.x\n",
            "lib/near.py": "",
            "lib/other.py": "def f(): ...\n",
            "lib/unused.py": "",
            "lazy.py": "x = 1\n",
            "unrelated.py": "",
        },
    )
    load("unrelated")
    assert files_of(Program(), load("lib.core").work) is not None
    assert set(files_of(Program(), load("lib.core").work) or {}) == {
        "lib/__init__.py",
        "lib/core.py",
        "lib/near.py",
        "lib/other.py",
        "lazy.py",
    }


def test_what_no_own_module_is_named_in_needs_nothing() -> None:
    assert files_of(Program(), 1, "text", os.path.join, subprocess.Popen, pytest.Item) is None


def test_namespace_packages_and_packages_below_keep_their_places(project: Path) -> None:
    write(project, {"space/part/__init__.py": "from .deep.er import g\n", "space/part/deep/er.py": "def g(): ...\n"})
    assert set(files_of(Program(), load("space.part").g) or {}) == {"space/part/__init__.py", "space/part/deep/er.py"}


def test_a_star_import_and_a_module_passed_as_a_value_count(project: Path) -> None:
    write(project, {"one.py": "from two import *\ndef f(): ...\n", "two.py": "import three\n", "three.py": ""})
    assert set(files_of(Program(), load("one").f) or {}) == {"one.py", "two.py", "three.py"}
    assert set(files_of(Program(), load("two")) or {}) == {"two.py", "three.py"}


def test_data_of_a_package_goes_along_if_git_has_it_but_no_secret(project: Path) -> None:
    git = needs.program("git")
    subprocess.run([git, "init", "-q", str(project)], check=True)
    write(
        project,
        {
            ".gitignore": "ignored.txt\n",
            "lib/__init__.py": "def f(): ...\n",
            "lib/words.txt": "a",
            "lib/data/more.csv": "b",
            "lib/ignored.txt": "c",
            "lib/.env": "s",
            "lib/server.key": "s",
            "lib/data/my_credentials.json": "s",
            "lib/sub/__init__.py": "",
            "lib/sub/its.txt": "d",
        },
    )
    (project / "lib" / "out").symlink_to("/etc/hostname")
    assert set(files_of(Program(), load("lib").f) or {}) == {"lib/__init__.py", "lib/words.txt", "lib/data/more.csv"}


def test_data_of_a_package_outside_git_goes_along_if_it_is_little_and_no_secret(project: Path) -> None:
    write(
        project,
        {
            "lib/__init__.py": "def f(): ...\n",
            "lib/words.txt": "a",
            "lib/data/more.csv": "b",
            "lib/.env": "s",
            "lib/secrets/all.txt": "s",
            "lib/__pycache__/x.cpython-311.pyc": "c",
            "lib/venv/pyvenv.cfg": "d",
            "lib/venv/big.txt": "d",
            "lib/sub/__init__.py": "",
            "lib/sub/its.txt": "e",
        },
    )
    (project / "lib" / "out").symlink_to("/etc/hostname")
    module = load("lib")
    assert set(files_of(Program(), module.f) or {}) == {"lib/__init__.py", "lib/words.txt", "lib/data/more.csv"}
    (project / ".git").mkdir()  # git cannot read it: an ignored file might be among these
    assert set(files_of(Program(), module.f) or {}) == {"lib/__init__.py"}
    (project / ".git").rmdir()
    write(project, {f"lib/data/{number}": "" for number in range(1000)})
    assert set(files_of(Program(), module.f) or {}) == {"lib/__init__.py"}


def test_after_a_reload_the_new_source_goes_and_before_it_none(project: Path) -> None:
    write(project, {"one.py": "import two\ndef f(): return two.g()\n", "two.py": "def g(): return 1\n"})
    module, program = load("one"), Program()
    first = files_of(program, module.f)
    assert files_of(program, module.f) == first
    write(project, {"two.py": "def g(): return 1 + 1\n"})
    assert files_of(program, module.f) == first  # what is loaded is what was read
    with pytest.raises(NotPacked, match=r"two.py changed since it was imported") as caught:
        files_of(Program(), module.f)
    assert caught.value.changed
    importlib.reload(sys.modules["two"])
    assert files_of(program, module.f) == {**(first or {}), "two.py": b"def g(): return 1 + 1\n"}


def test_a_module_that_is_imported_later_is_seen(project: Path) -> None:
    write(project, {"one.py": "def f(): ...\n", "two.py": "def f(): ...\n"})
    program = Program()
    assert set(files_of(program, load("one").f) or {}) == {"one.py"}
    assert set(files_of(program, load("two").f, load("one").f) or {}) == {"one.py", "two.py"}


def test_a_cookie_and_crlf_stay_as_they_are(project: Path) -> None:
    data = b"# -*- coding: latin-1 -*-\r\ndef f(): return '\xe9'\r\n"
    (project / "old.py").write_bytes(data)
    assert files_of(Program(), load("old").f) == {"old.py": data}


def test_own_code_that_is_not_python_stays_at_home(project: Path) -> None:
    write(project, {"one.py": "def f():\n    import fast\n    return fast.x\n"})
    (project / "fast.so").write_bytes(b"\x7fELF")
    with pytest.raises(NotPacked, match="fast is not written in Python"):
        files_of(Program(), load("one").f)


def test_what_a_text_imports_is_found_without_an_index_of_it() -> None:
    """All that the digest goes by; an import that is never used may be more."""
    folder = Path(os.__file__).parent
    texts = [path.read_text() for path in sorted([*folder.glob("*.py"), *folder.glob("importlib/*.py")])[::4]]
    assert len(texts) > 30
    total = 0
    for text in texts:
        index, found = index_of(text), imports_in(text)
        assert index is not None
        assert found is not None
        known = {one for several in index.imports.values() for one in several} | set(index.stars)
        known |= {one for statement in index.statements for one, _ in statement.uses.imports}
        assert known <= set(found)
        total += len(known)
        assert imports_from_json(imports_to_json(found)) == found
    assert total > 100
    assert imports_in("def (:") is None


def test_a_thread_that_may_not_wait_reads_nothing_and_waits_for_no_one_who_does(project: Path) -> None:
    write(project, {"one.py": "def f(): return 1\n"})
    module, program = load("one"), Program()
    body = wire.encode_arguments("pickle", (module.f,))
    with pytest.raises(NotPacked):
        program.archive_of(body, reads=False)
    whole = program.archive_of(body)
    assert program.archive_of(body, reads=False) is whole
    importlib.reload(module)
    with pytest.raises(NotPacked):
        program.archive_of(body, reads=False)
    reading, over = threading.Event(), threading.Event()

    def read() -> None:
        with program._lock:  # pyright: ignore[reportPrivateUsage]
            reading.set()
            over.wait(60)

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(60)
    with pytest.raises(NotPacked):
        program.archive_of(body, reads=False)
    over.set()
    thread.join()
