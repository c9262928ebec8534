"""Archives: files in, a folder out; nothing else comes out of one, no matter who made it."""

from __future__ import annotations

import io
import stat
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist.code import archive_format as archives
from simpledist.code.archive_format import name_of, packed, unpack
from simpledist.errors import BadEnvelope, NotPacked

names = st.text("abcxyz_", min_size=1, max_size=6)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "one.zip"
    path.write_bytes(data)
    return path


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(paths, st.binary(max_size=200), max_size=6))
def test_what_was_packed_is_unpacked(files: dict[str, bytes]) -> None:
    files = {f"{path}.py": data for path, data in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        unpack(written(Path(folder), packed(files).data), Path(folder) / "out")
        assert contents(Path(folder) / "out") == files


def test_the_same_files_have_the_same_name_in_whatever_order() -> None:
    one, other = packed({"a.py": b"1", "b.py": b"2"}), packed({"b.py": b"2", "a.py": b"1"})
    assert one == other
    assert one.name == name_of(one.data)
    assert packed({"a.py": b"1", "b.py": b"3"}).name != one.name


def test_what_is_too_big_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILE_BYTES", 100)
    monkeypatch.setattr(archives, "MOST_BYTES", 250)
    monkeypatch.setattr(archives, "MOST_FILES", 5)
    with pytest.raises(NotPacked, match=r"big.py has"):
        packed({"big.py": bytes(101)})
    with pytest.raises(NotPacked, match="3 files"):
        packed({f"{n}.py": bytes(90) for n in range(3)})
    with pytest.raises(NotPacked, match="6 files"):
        packed({f"{n}.py": b"" for n in range(6)})


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, data, zipfile.ZIP_DEFLATED)
    return room.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(zipped(("../out.py", b"", 0)), id="above"),
        pytest.param(zipped(("a/../../out.py", b"", 0)), id="above by a detour"),
        pytest.param(zipped(("/tmp/out.py", b"", 0)), id="absolute"),
        pytest.param(zipped(("a\\..\\out.py", b"", 0)), id="backslashes"),
        pytest.param(zipped(("link", b"/etc/passwd", stat.S_IFLNK | 0o777)), id="a link"),
        pytest.param(zipped(("device", b"", stat.S_IFCHR | 0o666)), id="a device"),
        pytest.param(zipped(("folder/", b"", 0)), id="a folder"),
        pytest.param(zipped(("bomb.py", bytes(archives.MOST_FILE_BYTES + 1), 0)), id="a bomb"),
        pytest.param(zipped(*[(f"{n}.py", bytes(9_000_000), 0) for n in range(6)]), id="many bombs"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x05\x06" + bytes(10), id="cut short"),
        pytest.param(zipped(("a.py", b"x" * 100, 0))[:-40], id="without its end"),
    ],
)
def test_an_archive_that_is_not_of_our_making_leaves_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(BadEnvelope):
        unpack(written(tmp_path, data), tmp_path / "in" / "out")
    assert contents(tmp_path) == {"one.zip": data}
    assert not list((tmp_path / "in").iterdir())


def test_many_may_unpack_the_same_one_at_once(tmp_path: Path) -> None:
    files = {f"m{n}.py": b"x" * n for n in range(50)}
    path = written(tmp_path, packed(files).data)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            unpack(path, tmp_path / "out")
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert contents(tmp_path / "out") == files
    assert {one.name for one in tmp_path.iterdir()} == {"one.zip", "out"}
