"""What a test needs of this machine beside Python: where it is missing, one line says which command installs it.

Locally such a test is skipped. In CI, where .ci/run has installed everything, it fails: nothing is skipped there.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

# Program -> the Debian package that has it; .ci/run installs these.
PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "redis-sentinel": "redis-sentinel",
    "openssl": "openssl",
    "ps": "procps",
    "faketime": "faketime",
    "tmux": "tmux",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "setpriv": "util-linux",
    "npm": "npm",
    "node": "nodejs",
    "luacheck": "lua-check",
    "systemd-analyze": "systemd",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
}


def missing(message: str) -> NoReturn:
    """End the test: what `message` says is not here."""
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def program(name: str) -> str:
    """The path of one of PACKAGES' programs."""
    path = shutil.which(name)
    if path is None:
        missing(f"no {name} here: apt-get install {PACKAGES[name]}")
    return path
