"""Archives: files of one program as one value, named by its content, and how they become a folder again.

Owns the format (a zip without times or modes) and its bounds, which are checked where it is made and where it is
unpacked. An archive is signed by way of the call that names it; all the same no path in it leads out of its folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from simpledist.errors import BadEnvelope, NotPacked
from simpledist.faultpoints import point

MOST_FILE_BYTES = 10_000_000
MOST_BYTES = 50_000_000
MOST_FILES = 10_000
_AGES_AGO = (1980, 1, 1, 0, 0, 0)
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Archive:
    """`name`: the SHA-256 of `data`, in hex."""

    name: str
    data: bytes

    def files(self) -> dict[str, int]:
        """Return the files in it, each with its size in bytes."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as zipped:
            return {info.filename: info.file_size for info in zipped.infolist()}


def packed(files: Mapping[str, bytes]) -> Archive:
    """Return the archive of these files, by their path with slashes. Raises NotPacked where it would be too big."""
    total = sum(map(len, files.values()))
    if total > MOST_BYTES or len(files) > MOST_FILES:
        raise NotPacked(f"the code that it needs has {len(files)} files of {total / 1e6:.0f} MB; 50 MB at most travel")
    for path, data in files.items():
        if len(data) > MOST_FILE_BYTES:
            raise NotPacked(f"{path} has {len(data) / 1e6:.0f} MB; files of 10 MB at most travel")
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for path in sorted(files):
            zipped.writestr(zipfile.ZipInfo(path, _AGES_AGO), files[path], zipfile.ZIP_DEFLATED)
    data = room.getvalue()
    return Archive(name_of(data), data)


def name_of(data: bytes) -> str:
    """Return the name of an archive with these bytes."""
    return sha256(data).hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Make `folder` with the files of an archive, whole or not at all; other processes may do the same meanwhile.

    Raises BadEnvelope for an archive that is not of our making, OSError where the disk has no room.
    """
    if folder.is_dir():
        return
    made = folder.with_name(f"{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        made.mkdir(mode=0o700, parents=True)
        _unpack_into(archive, made)
        with contextlib.suppress(OSError):  # another process was first
            made.rename(folder)
            for place in [*folder.rglob("*/"), folder]:
                if place.is_dir():
                    place.chmod(0o500)  # other calls find the same files
        if not folder.is_dir():
            raise OSError(f"{folder} cannot be made")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _unpack_into(archive: Path, made: Path) -> None:
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(archive) as zipped:
            infos = zipped.infolist()
            if len(infos) > MOST_FILES:
                raise BadEnvelope("an archive with too many files")
            for info in infos:
                point("worker.unpacks")
                left -= _unpack_one(zipped, info, made, min(left, MOST_FILE_BYTES))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise BadEnvelope(f"no archive of ours: {error}") from error


def _unpack_one(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, made: Path, most: int) -> int:
    path = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in info.filename or info.is_dir():
        raise BadEnvelope(f"an archive with a path that leads out of it: {info.filename!r}")
    if kind not in (0, stat.S_IFREG):
        raise BadEnvelope(f"an archive with something other than files: {info.filename!r}")
    target = made / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = 0
    with zipped.open(info) as source, open(target, "xb") as file:
        while data := source.read(_READ_BYTES):
            size += len(data)
            if size > most:
                raise BadEnvelope("an archive that is larger than it may be")
            file.write(data)
    target.chmod(0o400)
    return size
