"""An authority for certificates, and what it signs: with any name, for any time. Made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import needs

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files of a server."""

    file: Path
    key: Path


class Authority:
    """Signs certificates; clients know it by `file`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._name = folder, name
        self.file, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        files = ("-keyout", str(self._key), "-out", str(self.file))
        _openssl("req", "-x509", *NEW_KEY, *files, "-days", "2", "-subj", f"/CN={name}", *usage)

    def certificate(self, *names: str, days: int = 2) -> Certificate:
        """One for these names (`DNS:localhost`, `IP:127.0.0.1`); with days below 0 it has expired."""
        title = f"{self._name}-{len(list(self._folder.glob('*.csr')))}"
        made = Certificate(self._folder / f"{title}.pem", self._folder / f"{title}.key")
        request = self._folder / f"{title}.csr"
        names_of_it = ("-subj", f"/CN={title}", "-addext", f"subjectAltName={','.join(names)}")
        _openssl("req", *NEW_KEY, "-keyout", str(made.key), "-out", str(request), *names_of_it)
        signing = ("-CA", str(self.file), "-CAkey", str(self._key), "-days", str(days), "-copy_extensions", "copy")
        _openssl("x509", "-req", "-in", str(request), *signing, "-out", str(made.file))
        return made


def _openssl(*words: str) -> None:
    subprocess.run([needs.program("openssl"), *words], check=True, capture_output=True)
