"""The command lines of ssh, and of the shell that it starts on the other machine.

Pure. ssh asks nothing (there may be ten of them, and a lost connection comes back by itself), trusts no host that the
user has not accepted, and takes nothing else along: no agent, no X11, no forwarding of the user's configuration.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from simpledist.errors import ConfigurationError
from simpledist.ssh.hosts import Host

NO_PYTHON, NO_SIMPLEDIST = 86, 87  # exit codes of the shell there
CONNECT_SECONDS = 15
ALIVE_SECONDS, ALIVE_TIMES = 5, 3  # so long without a sign of the other machine, and the connection counts as lost
_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_SECONDS}",
    f"ServerAliveInterval={ALIVE_SECONDS}",
    f"ServerAliveCountMax={ALIVE_TIMES}",
    "ControlMaster=yes",
    "ControlPersist=no",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "RequestTTY=no",
    "PermitLocalCommand=no",
    "LogLevel=ERROR",
)
_PYTHON = re.compile(r"[A-Za-z0-9_.~/][A-Za-z0-9_.~/+-]{0,200}")
MINORS = range(14, 9, -1)
# Reads one line, the launcher, and runs it. Neither quotes nor backslashes: it is within two pairs of quotes.
_LOADER = "import os; exec(bytes().join(iter(lambda: os.read(0, 1) or bytes([10]), bytes([10]))))"
_OLD_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))"
# The Python of the simpledist-worker on the path, else of one that pip or pipx has put into the home.
_INSTALLED = (
    '$(sed -n "1s/^..//p" "$(command -v simpledist-worker || echo ~/.local/bin/simpledist-worker)" 2>/dev/null)'
)


def demand_python(program: str) -> str:
    """Return the name or path of a Python on the other machines. Raises ConfigurationError for what is none."""
    if not _PYTHON.fullmatch(program):
        raise ConfigurationError(f"--python {program[:80]!r}: write the name or the path of a program, without spaces")
    return program


def connect(host: Host, control: Path, command: str) -> list[str]:
    """Return the command that connects to a host, and runs a command line of its shell."""
    options = [word for option in (*_OPTIONS, f"ControlPath={control}") for word in ("-o", option)]
    port = ["-p", str(host.port)] if host.port is not None else []
    return ["ssh", "-T", "-a", "-x", *options, *port, "--", host.target, command]


def forward(control: Path, socket: str, target: str) -> list[str]:
    """Return the command that adds the tunnel to a connection; it reads no configuration: that may add others."""
    options = ["-F", "none", "-o", f"ControlPath={control}", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    return ["ssh", *options, "-O", "forward", "-R", f"{socket}:{target}", "--", "there"]


def command_there(*, python: str | None, brings_files: bool) -> str:
    """Return the command line for a shell there, of any kind: it finds a Python, which runs the launcher.

    The Python of the same minor as ours comes first: what travels with a call needs the same. `brings_files`: our files
    come along; else simpledist has to be installed for that Python.
    """
    here = sys.version_info.minor
    usual = [f"python3.{here}", "python3", *(f"python3.{minor}" for minor in MINORS if minor != here)]
    pythons = [python] if python is not None else usual if brings_files else [_INSTALLED, *usual]
    wanted = "" if brings_files else "import simpledist; "
    return (
        "exec sh -c 'old=1; "
        f"for p in {' '.join(pythons)}; do "
        f'if "$p" -c "{_OLD_ENOUGH}" 2>/dev/null; then old=0; '
        f'if "$p" -c "{wanted}" 2>/dev/null; then exec "$p" -c "{_LOADER}"; fi; fi; '
        f"done; test $old = 1 && exit {NO_PYTHON}; exit {NO_SIMPLEDIST}'"
    )
