"""Our own files, for a machine without simpledist: a compressed tar of what a worker imports, named by its content.

Holds simpledist without its dashboard, and the pure Python of click, cloudpickle and redis, as installed here, in
`ours/`. What only some Pythons need is in `if-missing/NAME/`, for a machine that has no NAME. The same files give the
same bytes. Knows nothing of connections.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from simpledist.errors import ConfigurationError

PACKAGES = ("simpledist", "click", "cloudpickle", "redis")
ENDINGS = (".py", ".lua", ".typed")
OURS, IF_MISSING = "ours", "if-missing"
# redis-py imports these for parts of it that a worker never uses: the first two on Python 3.10, jwt in its 5.3.
_STAND_INS = {
    "async_timeout": "def timeout(*_, **__):\n    raise NotImplementedError('async-timeout is not installed here')\n",
    "typing_extensions": "from typing import Any\n\nSelf = Any\n",
    "jwt": "# PyJWT is not installed here\n",
}
_OF_DISTRIBUTION = ("METADATA", "RECORD")  # they say that these packages are no code of the user's


@dataclass(frozen=True, slots=True)
class Archive:
    """The bytes of a tar.gz, and the SHA-256 of them, which is its name."""

    data: bytes
    digest: str


def made() -> Archive:
    """Return the archive of what is installed here. Raises ConfigurationError where a package has no files to copy."""
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, packed, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, content in sorted(_files()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    data = packed.getvalue()
    return Archive(data, sha256(data).hexdigest())


def _files() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        for name, content in _package(package):
            yield f"{OURS}/{name}", content
    for module, text in _STAND_INS.items():
        yield f"{IF_MISSING}/{module}/{module}.py", text.encode()


def _package(package: str) -> Iterator[tuple[str, bytes]]:
    spec = importlib.util.find_spec(package)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    if not any(folder.is_dir() for folder in folders):
        raise ConfigurationError(f"--bootstrap: the files of {package} are in no folder here, so they cannot be copied")
    for folder in folders:
        for path in folder.rglob("*"):
            if path.suffix in ENDINGS and "__pycache__" not in path.parts and path.is_file():
                yield f"{package}/{path.relative_to(folder).as_posix()}", path.read_bytes()
    if package == "simpledist":
        return
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return
    name = f"{package}-{distribution.version}.dist-info"
    for file in _OF_DISTRIBUTION:
        if text := distribution.read_text(file):
            yield f"{name}/{file}", text.encode()
