"""The program that `simpledist ssh` runs on another machine: it starts a worker, and ends it with the connection.

It is sent by stdin and run from memory, with nothing but Python 3.10: imports nothing of simpledist. It makes the
folder of the tunnel's socket, unpacks our files where it is asked to, starts the worker, and passes on the caller's
orders. When stdin ends, or nothing comes for SILENT_SECONDS, the caller is gone: the worker ends at once, for its Redis
is gone too.

What comes by stdin, after this text: lines of JSON (`do`: unpack, start, drain, stop; behind unpack the bytes), and
empty lines as a sign of life. What goes to stdout: lines of JSON behind MARK (`event`: here, unpacked, started, ended).
What the worker writes goes to stderr.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "\x1esimpledist "
SILENT_SECONDS = 20.0
LOOK_SECONDS = 0.1
KILL_SECONDS = 6.0  # after SIGTERM and SIGINT a worker releases its jobs and goes
OLD_SECONDS = 30 * 86400  # so long after their last use our files are removed
FRESH_SECONDS = 60
SOCKET_PATH_BYTES = 100
PLAIN = re.compile(r"[A-Za-z0-9_./@+-]+")  # what ssh takes in a path without taking it apart
VARIABLES = ("SIMPLEDIST_REDIS_URL", "SIMPLEDIST_SECRET_FILE", "SIMPLEDIST_NAMESPACE")
# The worker: its arguments, which may hold the password of Redis, come by stdin, the key by another pipe. `ps` shows
# neither. It dies with the process that started it.
WORKER = (
    "import sys; sys.path[:] = [one for one in sys.path if one]; import json, os; "
    "given = json.load(sys.stdin); os.dup2(os.open(os.devnull, os.O_RDONLY), 0); "
    "from simpledist.worker import lifeline; lifeline.die_with(given['parent']); "
    "from simpledist.cli import options, worker; "
    "options.run(worker.worker, 'simpledist-worker', given['arguments'])"
)


class Gone(Exception):
    """The caller is gone, or wants no more of us."""


class Stdin:
    """Reads what the caller sends: lines, and runs of bytes. Knows when it last heard of it."""

    def __init__(self) -> None:
        self._buffer = b""
        self._ended = False
        self._heard_at = time.monotonic()

    @property
    def caller_lives(self) -> bool:
        return not self._ended and time.monotonic() - self._heard_at < SILENT_SECONDS

    def wait(self, seconds: float) -> None:
        """Read what comes within so many seconds, as soon as there is anything."""
        if self._ended or not select.select([0], [], [], seconds)[0]:
            return
        data = os.read(0, 65536)
        self._ended = not data
        self._heard_at = time.monotonic()
        self._buffer += data

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield each whole line that has come."""
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            if line:
                yield json.loads(line)

    def next_line(self) -> dict[str, Any]:
        """Return the next line. Raises Gone."""
        while self.caller_lives:
            for line in self.lines():
                return line
            self.wait(LOOK_SECONDS)
        raise Gone

    def copy_to(self, file: Any, count: int) -> str:
        """Write the next bytes to a file; return their SHA-256. Raises Gone."""
        digest = hashlib.sha256()
        while count:
            part, self._buffer = self._buffer[:count], self._buffer[count:]
            digest.update(part)
            file.write(part)
            count -= len(part)
            if not count:
                break
            if not self.caller_lives:
                raise Gone
            self.wait(LOOK_SECONDS)
        return digest.hexdigest()


def say(event: str, **about: Any) -> None:
    """Tell the caller."""
    with contextlib.suppress(OSError):  # it is gone, which stdin says as well
        os.write(1, f"{MARK}{json.dumps({'event': event, **about})}\n".encode())


# --- folders ---------------------------------------------------------------------------------------------------------


def ours(folder: Path) -> bool:
    """Return whether a folder is no link, is ours, and no other user can even look into it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def cache_folder() -> Path:
    """Return our cache folder, 0700: in the cache of the home, else in the temporary folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    troubles: list[str] = []
    for folder in (home / "simpledist-ssh", Path(tempfile.gettempdir()) / f"simpledist-ssh-{os.geteuid()}"):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            if not ours(folder):
                raise PermissionError(0, "is not ours alone: remove it, or chmod 700 it")
            with tempfile.TemporaryFile(dir=folder):  # it can be written
                return folder
        except OSError as error:
            troubles.append(f"{folder}: {error.strerror or error}")
    sys.exit(f"no folder for the worker's files here: {'; '.join(troubles)}")


def socket_folder(cache: Path) -> tuple[Path, int]:
    """Make a folder of our own for the socket of the tunnel; return it, and a descriptor that locks it.

    It is in the cache folder, where the next launcher removes it if we are killed; in the temporary folder where the
    other path is too long for a socket, or has characters that ssh takes apart.
    """
    place = cache / "sockets"
    place.mkdir(mode=0o700, exist_ok=True)
    node = re.sub(r"[^A-Za-z0-9]", "-", platform.node())[:20]
    _remove_left_sockets(place, node)
    folder = Path(tempfile.mkdtemp(prefix=f"{node}.", dir=place))
    path = str(folder / "redis.sock")
    if not PLAIN.fullmatch(path) or len(path) > SOCKET_PATH_BYTES:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="sd-", dir="/tmp"))
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # NFS locks no folder
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return folder, descriptor


def _remove_left_sockets(place: Path, node: str) -> None:
    """Remove the folders of launchers of this machine that were killed: no process locks them."""
    for folder in place.glob(f"{node}.*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < FRESH_SECONDS:  # its launcher may be about to lock it
                continue
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def files_folder(cache: Path, digest: str) -> Path:
    """Return where the files of this digest are, or will be."""
    return cache / digest[:32]


def unpack(cache: Path, digest: str, stdin: Stdin, count: int) -> None:
    """Take an archive, check it, and put its files where they belong, whole at once. Raises Gone."""
    with tempfile.TemporaryFile(dir=cache) as file:
        if stdin.copy_to(file, count) != digest:
            sys.exit("the files came through changed: nothing was unpacked")
        file.seek(0)
        draft = Path(tempfile.mkdtemp(prefix="part-", dir=cache))
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(draft, filter="data")
            else:
                archive.extractall(draft)
    try:
        draft.rename(files_folder(cache, digest))
    except OSError:  # another launcher was as quick
        shutil.rmtree(draft, ignore_errors=True)
    _remove_old_files(cache, keep=files_folder(cache, digest))


def _remove_old_files(cache: Path, *, keep: Path) -> None:
    for folder in cache.iterdir():
        with contextlib.suppress(OSError):
            if folder not in (keep, cache / "sockets") and time.time() - folder.stat().st_mtime > OLD_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def path_of(files: Path) -> list[str]:
    """Return the folders of our files for the path of the worker: of modules that are here, none of ours is taken."""
    missing = [folder for folder in files.glob("if-missing/*") if importlib.util.find_spec(folder.name) is None]
    return [str(files / "ours"), *map(str, sorted(missing))]


# --- the worker ------------------------------------------------------------------------------------------------------


def start(order: dict[str, Any], files: Path | None) -> subprocess.Popen[bytes]:
    """Start the worker. Its key and its arguments come by pipes."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if files is not None:
        environment["PYTHONPATH"] = os.pathsep.join([*path_of(files), *filter(None, [environment.get("PYTHONPATH")])])
    arguments: list[str] = order["arguments"]
    key: int | None = None
    if order["key"]:
        key, write = os.pipe()
        os.write(write, order["key"].encode())
        os.close(write)
        arguments = ["--secret-file", f"/dev/fd/{key}", *arguments]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=2,
        pass_fds=() if key is None else (key,),
        env=environment,
        start_new_session=True,
    )
    if key is not None:
        os.close(key)
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(json.dumps({"parent": os.getpid(), "arguments": arguments}).encode())
    return process


class Run:
    """One worker, from its start to its end."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: Stdin) -> None:
        self._process = process
        self._stdin = stdin
        self._kill_at: float | None = None
        self._asked = False
        self._terminated = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, *_: object) -> None:
        self._terminated = True

    def to_its_end(self) -> int:
        """Do as the caller says until the worker has ended; return its exit code."""
        while (code := self._process.poll()) is None:
            if self._terminated:
                self._drain()
            if not self._stdin.caller_lives:
                self._stop()
                time.sleep(LOOK_SECONDS)
            else:
                self._stdin.wait(LOOK_SECONDS)
                for order in self._stdin.lines():
                    {"drain": self._drain, "stop": self._stop}.get(order.get("do", ""), lambda: None)()
            if self._kill_at is not None and time.monotonic() > self._kill_at:
                self._process.kill()
        return code

    def _drain(self) -> None:
        if not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def _stop(self) -> None:
        """Have it release its jobs and go: two signals of one kind could arrive as one."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + KILL_SECONDS
            self._drain()
            self._process.send_signal(signal.SIGINT)


def main(digest: str) -> int:
    """Serve one caller. `digest`: of the files that it may send; "" where simpledist is installed here."""
    stdin = Stdin()
    cache = cache_folder()
    files = files_folder(cache, digest) if digest else None
    folder, _ = socket_folder(cache)
    try:
        missing = files is not None and not files.is_dir()
        if files is not None and not missing:
            os.utime(files)
        version = platform.python_version()
        say("here", python=version, socket=str(folder / "redis.sock"), wants_files=missing)
        while True:
            order = stdin.next_line()
            if order["do"] == "unpack":
                unpack(cache, digest, stdin, order["bytes"])
                say("unpacked")
            elif order["do"] == "start":
                process = start(order, files)
                say("started", pid=process.pid)
                code = Run(process, stdin).to_its_end()
                say("ended", code=code)
                return 0
            else:
                return 0
    except Gone:
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
