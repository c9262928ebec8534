"""Blobs: what a body names, what it carries, how a worker keeps them and a child decodes them."""

from __future__ import annotations

import itertools
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pytest

from simpledist import wire
from simpledist.buffers import Blob, Data, Pieces, blobs_of
from simpledist.code.travelling_modules import Program
from simpledist.engine.shared_objects import SharedObjects, name_of
from simpledist.errors import MissingBlob, Undecodable, Unserialisable
from simpledist.wire import blobs
from simpledist.worker import blob_store, decoded
from simpledist.worker.blob_store import BlobStore
from simpledist.worker.decoded import Decoded


def shared(*objects: Any) -> SharedObjects:
    found = SharedObjects(kept=True)
    for one in objects:
        found.share(one)
    return found


def body(*args: Any, of: SharedObjects | None = None) -> Data:
    return wire.encode_arguments("pickle", args, shared=of)


def again(data: Data) -> Data:
    """Reading uses up pieces."""
    return Pieces(data.parts, data.blobs) if isinstance(data, Pieces) else data


class Counted:
    """Counts how often it is encoded."""

    def __init__(self) -> None:
        self.times = 0

    def __reduce__(self) -> Any:
        self.times += 1
        return Counted, ()


# --- in a body -------------------------------------------------------------------------------------------------------


def test_a_body_names_each_shared_object_once_and_gives_it_back() -> None:
    rows, table = [1] * 10, {"a": [2]}
    data = body(rows, {"x": [rows, table]}, of=shared(rows, table))
    assert wire.names_in(data) == tuple(blob.name for blob in blobs_of(data))
    assert len(blobs_of(data)) == 2
    (first, second), _ = wire.decode_arguments("pickle", again(data))
    assert first is rows
    assert second["x"][0] is rows
    assert second["x"][1] is table


def test_to_search_a_shared_object_for_modules_encodes_it_no_more_often() -> None:
    value = Counted()
    (blob,) = blobs_of(data := body(value, of=shared(value)))
    times = value.times
    Program().archive_of(data)
    assert name_of(blob.encode()) == blob.name  # for its way to Redis
    assert value.times == times
    blob.encode()
    assert value.times > times  # its bytes are not kept for ever


def test_a_body_without_shared_objects_is_as_ever() -> None:
    assert body(1, [2], of=shared({})) == body(1, [2]) == body(1, [2], of=shared())
    assert wire.names_in(body(1, [2])) == ()
    assert wire.names_in(b"") == ()


@pytest.mark.parametrize("value", [numpy.arange(100_000.0), {"a": numpy.zeros(9)}, [1] * 50, lambda: 1, b"x" * 70_000])
def test_a_body_that_carries_them_needs_nothing_else(value: Any) -> None:
    data = bytes(wire.carrying(body(value, [value], of=shared(value))))
    (one, (other,)), _ = wire.decode_arguments("pickle", data)
    assert one is other
    assert one is not value
    assert type(one) is type(value)


@pytest.mark.parametrize("carried", [True, False])
def test_calls_of_a_batch_name_them_together(carried: bool) -> None:
    rows, table = [1] * 10, {"a": [2]}
    both = shared(rows, table)
    data = wire.encode_calls("pickle", [(rows,), (1,), (table, rows)], shared=both)
    assert set(wire.names_in(data)) == {name_of(wire.dump_blob(one)) for one in (rows, table)}
    sent = bytes(wire.carrying(data)) if carried else data
    calls = [wire.decode_arguments("pickle", one)[0] for one in wire.split_calls("pickle", sent)]  # type: ignore[arg-type]
    assert calls == [(rows,), (1,), (table, rows)]
    assert (calls[0][0] is rows) is not carried
    assert calls[0][0] is calls[2][1]


def test_what_is_cut_short_is_no_call() -> None:
    rows = [1] * 10
    data = body(rows, of=shared(rows))
    for whole in (bytes(data), bytes(wire.carrying(data))):
        for length in range(1, len(whole)):
            with pytest.raises(Undecodable):
                wire.decode_arguments("pickle", whole[:length])


def test_a_number_without_a_name_is_no_call() -> None:
    rows = [1] * 10
    inside = bytes(body(rows, of=shared(rows)))[35:]
    with pytest.raises(Undecodable):
        wire.decode_arguments("pickle", blobs.NAMED + b"\0\0" + inside)
    with pytest.raises(Undecodable):
        wire.decode_arguments("pickle", inside)


def test_there_are_64_at_most() -> None:
    many = [[number] for number in range(65)]
    with pytest.raises(Unserialisable, match="more than 64 shared objects"):
        body(many, of=shared(*many))
    assert len(blobs_of(body(many[1:], of=shared(*many)))) == 64


def test_code_in_a_shared_object_binds_the_call_to_this_python() -> None:
    assert wire.python_of(body(1, of=shared([1]))) == ""
    local = lambda: 1  # noqa: E731 - it is to go by value
    of = shared(local)
    assert wire.python_of(body(local, of=of)) == wire.python_of(body(local)) != ""
    assert wire.python_of_calls("pickle", wire.encode_calls("pickle", [(local,)], shared=of)) == wire.python_of(
        body(local)
    )


def test_arrays_of_a_blob_are_aligned_and_read_only() -> None:
    value = [numpy.arange(size) for size in (10_001, 20_003, 3)]
    value[0].flags.writeable = True
    back: Any = wire.load_blob(bytes(wire.dump_blob(value)))
    for one, other in zip(value, back, strict=True):
        assert (one == other).all()
    assert not any(one.flags.writeable for one in back[:2])
    assert all(one.flags.aligned for one in back)


# --- in a worker -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    if request.param == "files":
        monkeypatch.setattr(blob_store.sys, "platform", "darwin")
    return BlobStore(most_bytes=250_000)


def blob(value: Any) -> tuple[str, Data]:
    data = wire.dump_blob(value)
    return name_of(data), data


def test_a_worker_keeps_a_blob_that_children_open(store: BlobStore) -> None:
    name, data = blob(numpy.arange(20_000))
    assert store.path(name) is None
    store.keep(name, again(data), ())
    path = store.path(name) or ""
    assert sha256(Path(path).read_bytes()).hexdigest() == name
    child = Decoded()
    child.lend(name, path)
    assert child.find(name)[5] == 5
    assert child.find(name) is child.find(name)


def test_a_worker_refuses_what_is_not_what_it_is_called(store: BlobStore) -> None:
    name, data = blob([1] * 1000)
    other = bytearray(bytes(data))
    other[50] ^= 1
    for wrong in (bytes(other), bytes(data)[:-1], b"x", None):
        with pytest.raises(MissingBlob, match=f"MissingBlob: .*{name}"):
            store.keep(name, wrong, ())
        assert store.path(name) is None
        assert len(store) == 0


def test_what_was_not_used_for_longest_goes_first_but_nothing_in_use(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(blob_store.time, "monotonic", lambda: next(clock))
    made = [blob(secrets.token_bytes(100_000)) for _ in range(4)]
    for name, data in made[:2]:
        store.keep(name, data, ())
    assert store.path(made[0][0])
    store.keep(*made[2], ())
    assert [store.path(name) is not None for name, _ in made] == [True, False, True, False]
    store.keep(*made[3], {made[0][0], made[2][0]})
    assert [store.path(name) is not None for name, _ in made] == [True, False, True, True], "more than the bound"
    assert store.size_bytes > 250_000


# --- in a child ------------------------------------------------------------------------------------------------------


def test_a_path_that_leads_to_another_file_is_no_blob(store: BlobStore, tmp_path: Path) -> None:
    (name, data), (other, its) = blob([1] * 100), blob([2] * 100)
    store.keep(name, data, ())
    store.keep(other, its, ())
    (tmp_path / "empty").touch()
    child = Decoded()
    for path in (store.path(other) or "", str(tmp_path / "empty"), f"/proc/{os.getpid()}/fd/999999", ""):
        child.lend(name, path)
        with pytest.raises(MissingBlob, match=f"MissingBlob: {name}"):
            child.find(name)


def test_a_child_keeps_what_its_next_jobs_want_and_as_much_as_it_may(store: BlobStore) -> None:
    made = [blob(secrets.token_bytes(1000 + number)) for number in range(3)]
    child = Decoded(most_bytes=2500)
    for name, data in made:
        store.keep(name, data, ())
        child.lend(name, store.path(name) or "")
    first, second, third = (name for name, _ in made)
    one = child.find(first)
    child.find(second)
    child.end_job("c-1", {first, second, third})
    child.find(third)
    child.end_job("c-2", {first})
    assert child.find(first) is one
    with pytest.raises(MissingBlob):
        child.find(second)
    child.end_job("c-3", ())
    child.forget()
    with pytest.raises(MissingBlob):
        child.find(first)


def test_jobs_of_a_child_have_what_they_cannot_write_to_in_one_place(store: BlobStore) -> None:
    data = secrets.token_bytes(100_000)
    name = name_of(data)
    store.keep(name, data, ())
    child = Decoded(most_bytes=150_000)
    found: list[Any] = []
    for _ in range(3):
        child.lend(name, store.path(name) or "")
        found.append(numpy.frombuffer(child.buffer(name, wire.READ_ONLY), numpy.uint8))
        own = child.buffer(name, wire.WRITEABLE)
        assert not isinstance(own, bytes)
        own[0] = data[0] ^ 1
        child.end_job("c-1", ())
    assert len({one.ctypes.data for one in found}) == 1
    assert all(one.tobytes() == data and not one.flags.writeable for one in found)
    other = secrets.token_bytes(100_000)
    store.keep(name_of(other), other, ())
    child.lend(name_of(other), store.path(name_of(other)) or "")
    child.buffer(name_of(other), wire.READ_ONLY)
    child.end_job("c-2", ())
    assert bytes(child.buffer(name_of(other), wire.READ_ONLY)) == other
    with pytest.raises(MissingBlob):
        child.buffer(name, wire.READ_ONLY)
    assert found[0].tobytes() == data, "memory that an array uses is not taken from it"


def test_what_a_job_changed_is_decoded_again_where_that_is_checked(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(decoded.CHECK_VARIABLE, "1")
    name, data = blob([1, 2])
    store.keep(name, data, ())
    child = Decoded()
    child.lend(name, store.path(name) or "")
    child.find(name).append(3)
    child.end_job("c-1", ())
    assert "job c-1 has changed a shared object, a list" in capsys.readouterr().err
    assert child.find(name) == [1, 2]
    child.end_job("c-2", ())
    assert capsys.readouterr().err == ""


# --- at a client -----------------------------------------------------------------------------------------------------


def test_only_the_very_object_is_shared() -> None:
    rows = [1] * 100
    of = shared(rows)
    assert of.blob_of(list(rows)) is None
    made = of.blob_of(rows)
    assert isinstance(made, Blob)
    assert name_of(made.encode()) == name_of(made.encode()) == made.name
    of.no_room(made)
    assert of.blob_of(rows) is None, "for a while"
    of.unshare(rows)
    assert not of
