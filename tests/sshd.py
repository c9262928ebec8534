"""A real sshd on loopback, with a port, a host key and a user of its own, whose home is empty; our command to it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil

import simpledist
from simpledist.embedded import HOST
from tests import needs
from tests.commands import MAIN, free_port
from tests.waiting import wait_until

START_SECONDS = 20
SERVED_SECONDS = 60.0


class Sshd:
    """Use it in a `with` block; `stop` and `start` may follow each other, the port stays."""

    def __init__(self) -> None:
        _demand_python()
        self._program = needs.program("sshd")
        needs.program("ssh")
        if os.geteuid():
            needs.missing("only root can add a user and run sshd for it: run this test as root")
        self.port = free_port()
        self.user = f"sd{os.getpid()}x{self.port}"
        self.host = f"{self.user}@{HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self.home = Path()

    def __enter__(self) -> Sshd:
        self.folder = Path(tempfile.mkdtemp(prefix="sd-sshd-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        account = ("--no-create-home", "--home-dir", str(self.home), "--shell", "/bin/sh", "--password", "*")
        subprocess.run(["useradd", *account, self.user], check=True, stderr=subprocess.DEVNULL)
        self.home.mkdir(0o700)
        os.chown(self.home, self.uid, pwd.getpwnam(self.user).pw_gid)
        for name in ("host", "client", "other"):
            key = str(self.folder / name)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.allow()
        self.know("host")
        Path("/run/sshd").mkdir(0o755, exist_ok=True)  # where sshd separates its privileges
        self._write_client()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for process in self.processes():
            process.kill()
        wait_until(lambda: not self.processes(), START_SECONDS, "the end of what the user runs")
        subprocess.run(["userdel", self.user], check=True, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder)

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.user).pw_uid

    @property
    def path(self) -> str:
        """The PATH of a process that is to find an `ssh` which knows this server, and no other."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def allow(self, *, command: str = "") -> None:
        """Let the client in; with a command: whatever it asks for, that runs."""
        option = f'command="{command}" ' if command else ""
        (self.folder / "authorized").write_text(option + (self.folder / "client.pub").read_text())

    def know(self, key: str) -> None:
        """Have the client know this host key of the server."""
        words = (self.folder / f"{key}.pub").read_text().split()[:2]
        (self.folder / "known").write_text(f"[{HOST}]:{self.port} {' '.join(words)}\n")

    def start(self, *options: str) -> None:
        """Start sshd; return once it listens."""
        (self.folder / "config").write_text(
            f"Port {self.port}\nListenAddress {HOST}\nHostKey {self.folder / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder / 'authorized'}\nStrictModes no\nPasswordAuthentication no\n"
            + "".join(f"{option}\n" for option in options)
        )
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._program, "-D", "-e", "-f", str(self.folder / "config")], stdin=subprocess.DEVNULL, stderr=log
            )
        wait_until(lambda: b"Server listening" in (self.folder / "log").read_bytes(), START_SECONDS, "sshd listens")

    def stop(self) -> None:
        """Kill sshd, and with it every connection."""
        process, self._process = self._process, None
        if process is None:
            return
        below = psutil.Process(process.pid).children(recursive=True)
        for one in below:
            # What runs for the user is not sshd: it has to end by itself.
            if _is_sshd(one):
                one.send_signal(signal.SIGKILL)
        process.kill()
        process.wait()
        (self.folder / "log").unlink()

    def processes(self) -> list[psutil.Process]:
        """Everything that the user runs, but for the part of sshd that runs as the user."""
        return list(self._processes())

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                ours = process.uids().real == self.uid and process.status() != psutil.STATUS_ZOMBIE
                if ours and not _is_sshd(process):
                    yield process
            except psutil.Error:
                continue

    def files(self) -> set[str]:
        """The files of the user, but for what the cache folder holds."""
        found = {str(path.relative_to(self.home)) for path in self.home.rglob("*")}
        cache = ".cache/simpledist-ssh"
        mine = {path for path in Path("/tmp").glob("*") if path.lstat().st_uid == self.uid}
        return {one for one in found if not f"{one}/".startswith(f"{cache}/") and one != ".cache"} | {*map(str, mine)}

    def sockets(self) -> list[Path]:
        return list((self.home / ".cache" / "simpledist-ssh" / "sockets").glob("*"))

    def _write_client(self) -> None:
        """Put an `ssh` on the path that reads a configuration of this test: the real one reads that of the user."""
        folder = self.folder / "bin"
        folder.mkdir()
        (self.folder / "client.config").write_text(
            f"IdentityFile {self.folder / 'client'}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {self.folder / 'known'}\nGlobalKnownHostsFile none\n"
        )
        real = shutil.which("ssh")
        script = folder / "ssh"
        script.write_text(
            f'#!/bin/sh\ncase "$1" in -F) exec {real} "$@";; esac\nexec {real} -F {self.folder}/client.config "$@"\n'
        )
        script.chmod(0o755)


def _is_sshd(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("sshd")
    except psutil.Error:
        return True


class Command:
    """`simpledist ssh`, and what it has written so far."""

    def __init__(self, sshd: Sshd, url: str, *words: str) -> None:
        self.output = sshd.folder / "output"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLEDIST_")}
        self._file = self.output.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", MAIN, "ssh", sshd.host, "--redis", url, *words],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env={**environment, "PATH": sshd.path, "TMPDIR": str(_folder(sshd))},
        )

    def text(self) -> str:
        return self.output.read_text()

    def signal(self, number: int = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs:\n{self.text()}") from None

    def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
        self._file.close()


def _folder(sshd: Sshd) -> Path:
    """The temporary folder of the caller."""
    folder = sshd.folder / "tmp"
    folder.mkdir(0o700, exist_ok=True)
    return folder


@contextlib.contextmanager
def started(sshd: Sshd, url: str, *words: str) -> Generator[Command]:
    command = Command(sshd, url, *words)
    try:
        yield command
    finally:
        command.close()


def where_it_runs(client: simpledist.Client) -> Any:
    return simpledist.worker_function(client, "uid", os.getuid)


def await_worker(client: simpledist.Client, sshd: Sshd, command: Command) -> None:
    uid = where_it_runs(client)
    try:
        wait_until(lambda: uid() == sshd.uid, SERVED_SECONDS, "a call is served there")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{command.text()}\n{(sshd.folder / 'log').read_text()}") from None


def nothing_is_left(sshd: Sshd) -> None:
    wait_until(lambda: not sshd.processes(), 20, "the end of what ran there")
    assert sshd.files() == set()
    assert sshd.sockets() == []
    assert list(_folder(sshd).iterdir()) == []


def _demand_python() -> None:
    """The user has to find a Python: that of the tests may be in root's home."""
    found = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    question = "import sys; sys.exit(sys.version_info < (3, 10))"
    if found is None or subprocess.run([found, "-c", question], check=False).returncode:
        needs.missing("no Python 3.10 that all users can run: apt-get install python3")
