"""A blob comes straight into the memory that children map, is hashed on the way, and takes the old way if it must."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from simpledist.buffers import Data, Filling, parts_of
from simpledist.errors import MissingBlob
from simpledist.worker import blob_room
from simpledist.worker.blob_room import BlobRoom
from simpledist.worker.blob_store import BlobStore

SIZE = 9_000_000  # more than two pieces
SLICE = 700_000


class Fetched:
    """What a download does: it asks for room, and fills it slice by slice."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.half_first = False

    def __call__(self, name: str, room: Callable[[int], Filling]) -> Any:
        self.room = room
        return self

    def step(self) -> bool:
        if self.half_first:
            self._fill(self.room(SIZE), secrets.token_bytes(SIZE // 2))
        filling = self.room(len(self.content))
        self._fill(filling, self.content)
        self.value: Data | None = filling.pieces()
        return True

    def _fill(self, filling: Filling, content: bytes) -> None:
        for at in range(0, len(content), SLICE):
            filling.put(memoryview(content[at : at + SLICE]))


@pytest.fixture
def content() -> bytes:
    return secrets.token_bytes(SIZE)


@pytest.fixture
def store() -> BlobStore:
    return BlobStore()


def kept(store: BlobStore, fetched: Fetched, name: str = "") -> str:
    name = name or sha256(fetched.content).hexdigest()
    coming = store.coming(name, fetched)
    while not coming.step():
        pass
    value, coming.value, fetched.value = coming.value, None, None
    store.keep(name, value, ())
    path = store.path(name)
    assert path is not None
    assert Path(path).read_bytes() == fetched.content
    return path


def of_a_copy(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each blob that is written once more."""
    copies: list[int] = []
    file_of = BlobStore._file  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(BlobStore, "_file", lambda its, name: copies.append(1) or file_of(its, name))  # type: ignore[func-returns-value]
    return copies


def test_it_is_not_copied_and_no_one_can_write_to_it(
    store: BlobStore, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = of_a_copy(monkeypatch)
    path = kept(store, Fetched(content))
    assert copies == []
    with open(os.open(path, os.O_RDWR), "r+b", buffering=0) as file, pytest.raises(PermissionError):
        file.write(b"x")


def test_a_download_that_begins_again_is_hashed_from_its_beginning(store: BlobStore, content: bytes) -> None:
    fetched = Fetched(content)
    fetched.half_first = True
    kept(store, fetched)


def test_another_content_is_refused_and_its_memory_freed(store: BlobStore, content: bytes) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(MissingBlob, match="is something else"):
            kept(store, Fetched(content), sha256(b"x").hexdigest())
    assert len(store) == 0
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("piece", [0, 2])
def test_without_memory_for_a_piece_it_takes_the_way_of_other_values(
    store: BlobStore, content: bytes, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    copies, pieces = of_a_copy(monkeypatch), list[int]()

    def full(descriptor: int, at: int, length: int) -> None:
        pieces.append(at)
        if len(pieces) > piece:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(blob_room.os, "posix_fallocate", full)
    kept(store, Fetched(content))
    assert copies == [1]


def test_where_other_code_has_a_view_of_it_it_is_copied(
    store: BlobStore, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, views = of_a_copy(monkeypatch), list[Any]()
    taken = BlobRoom.taken

    def watched(room: BlobRoom, data: Data) -> Any:
        views.extend(parts_of(data))
        return taken(room, data)

    monkeypatch.setattr(BlobRoom, "taken", watched)
    kept(store, Fetched(content))
    assert copies == [1]


def test_what_is_never_kept_leaves_no_file(store: BlobStore, content: bytes) -> None:
    before = len(os.listdir("/proc/self/fd"))
    fetched = Fetched(content)
    coming = store.coming("some", fetched)
    coming.step()
    del coming, fetched
    assert len(os.listdir("/proc/self/fd")) == before
