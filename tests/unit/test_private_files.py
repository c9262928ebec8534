"""Secrets in files: whole at once, for their user only, and never over one that another process has made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simpledist import private_files


def test_a_file_is_made_for_its_user_only(tmp_path: Path) -> None:
    assert private_files.make(tmp_path / "key", "secret")
    assert (tmp_path / "key").read_text() == "secret\n"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("another's")
    assert not private_files.make(tmp_path / "key", "secret")
    assert (tmp_path / "key").read_text() == "another's"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        private_files.replace(tmp_path / "url", text)
        assert (tmp_path / "url").read_text() == f"{text}\n"
    assert (tmp_path / "url").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["url"]


@pytest.mark.parametrize("write", [private_files.make, private_files.replace], ids=["make", "replace"])
def test_a_disk_that_fills_up_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    assert callable(write)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "key", "secret")
    assert list(tmp_path.iterdir()) == []
