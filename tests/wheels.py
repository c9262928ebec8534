"""Wheels that tests make: distributions that no index knows, which pip and uv install without a network."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], *, requires: tuple[str, ...] = ()) -> Path:
    """Make the wheel of a distribution in pure Python with these files; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/top_level.txt": "".join(sorted({one.partition("/")[0].removesuffix(".py") + "\n" for one in files})),
    }
    record = "".join(f"{one},,\n" for one in (*files, *about, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as zipped:
        for file, text in {**files, **about, f"{info}/RECORD": record}.items():
            zipped.writestr(file, text)
    return path


def installed(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """Install a distribution into a folder for PYTHONPATH, as pip would; return the folder."""
    with zipfile.ZipFile(wheel(folder.with_name(f"{folder.name}-wheels"), name, version, files)) as zipped:
        zipped.extractall(folder)
    return folder
