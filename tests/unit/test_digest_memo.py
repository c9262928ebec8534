"""The cache on disk: private, whole or not there, and never in the way."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from simpledist.code import memo as module
from simpledist.code.index import from_json, index_of, to_json
from simpledist.code.memo import Memo, key_of

TEXT = '''
import os.path as p, sys
from . import a as b, c
from .d import *
N = 1; N += 2
class C(b.Base):
    """Doc."""
    x: int = c.y
    def m(self, *, z=N): return [p.join(q, z) for q in self.r()]
if __name__ == "__main__":
    print(sys.argv)
registry["ä\\ud800"] = C
def f():
    from e.f import g
    def m(): return g.h(N)
    return m
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "above" / "code"


def test_what_is_stored_is_loaded_by_any_other_process(folder: Path) -> None:
    Memo(folder).store("index", "aa", "text \N{SNOWMAN}")
    assert Memo(folder).load("index", "aa", str) == "text \N{SNOWMAN}"
    assert Memo(folder).load("other", "aa", str) is None
    assert Memo(folder).load("index", "bb", str) is None


def test_no_one_else_may_read_or_write_it(folder: Path) -> None:
    Memo(folder).store("index", "aa", "text")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o701])
def test_a_folder_that_others_may_enter_is_not_used(folder: Path, mode: int) -> None:
    Memo(folder).store("index", "aa", "text")
    folder.chmod(mode)
    assert Memo(folder).load("index", "aa", str) is None


def test_a_file_that_others_may_write_is_not_read(folder: Path) -> None:
    Memo(folder).store("index", "aa", "text")
    (folder / "aa.index").chmod(0o620)
    assert Memo(folder).load("index", "aa", str) is None


def test_what_belongs_to_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Memo(folder).store("index", "aa", "text")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert Memo(folder).load("index", "aa", str) is None
    Memo(folder.parent / "new").store("index", "aa", "text")
    assert not (folder.parent / "new").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_links_are_not_followed(folder: Path, tmp_path: Path, what: str) -> None:
    Memo(folder).store("index", "aa", "text")
    moved = tmp_path / "elsewhere"
    place = folder if what == "folder" else folder / "aa.index"
    place.rename(moved)
    place.symlink_to(moved)
    assert Memo(folder).load("index", "aa", str) is None


@pytest.mark.parametrize("damage", [b"", b"short", b"0" * 40])
def test_a_damaged_file_is_as_none_and_is_replaced(folder: Path, damage: bytes) -> None:
    memo = Memo(folder)
    memo.store("index", "aa", "text")
    (folder / "aa.index").write_bytes(damage)
    assert memo.load("index", "aa", str) is None
    memo.store("index", "aa", "text")
    assert memo.load("index", "aa", str) == "text"


def test_a_pipe_in_the_place_of_a_file_keeps_no_one_waiting(folder: Path) -> None:
    Memo(folder).store("index", "bb", "text")
    os.mkfifo(folder / "aa.index", 0o600)
    assert Memo(folder).load("index", "aa", str) is None


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_full_or_read_only_disk_is_no_error_and_is_asked_once(
    folder: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memo = Memo(folder)
    memo.store("index", "aa", "text")
    asked: list[object] = []

    def refused(*args: object, **_: object) -> int:
        asked.append(args)
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        memo.store("index", "bb", "text")
        memo.store("index", "cc", "text")
    assert len(asked) == 1
    assert [path.name for path in folder.iterdir()] == ["aa.index"]
    assert memo.load("index", "aa", str) == "text"


def test_a_home_that_is_a_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    memo = Memo(tmp_path / "home" / "cache")
    memo.store("index", "aa", "text")
    assert memo.load("index", "aa", str) is None


def test_many_that_write_at_once_leave_whole_files(folder: Path) -> None:
    text = "x" * 100_000
    seen: list[str | None] = []

    def work() -> None:
        memo = Memo(folder)
        for _ in range(50):
            memo.store("index", "aa", text)
            seen.append(memo.load("index", "aa", str))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {text}
    assert [path.name for path in folder.iterdir()] == ["aa.index"]


def test_the_oldest_go_where_there_are_too_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 8)
    first = Memo(folder)
    for number in range(12):
        first.store("index", f"k{number:02}", "text")
        os.utime(folder / f"k{number:02}.index", (number, number))
    Memo(folder).store("index", "new", "text")
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["k07.index", "k08.index", "k09.index", "k10.index", "k11.index", "new.index"]


def test_a_text_has_another_key_for_another_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    was = key_of("text")
    monkeypatch.setattr(module, "_own", ["other"])
    assert key_of("text") != was != key_of("texts")


def test_an_index_comes_back_from_text_as_it_was() -> None:
    index = index_of(TEXT)
    assert index is not None
    assert from_json(to_json(index)) == index
    json.loads(to_json(index))
