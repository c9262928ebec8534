"""A whole cluster on this machine in one call: embedded Redis, real worker processes, distributor, clients.

For `simpledist demo` and the tests: it starts the commands that a user would start, each in a process of its own, and
ends all of them. Knows of the roles only their command lines and, to see that a worker is there, its row in Redis.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from simpledist import config
from simpledist.broker import Keys, Link
from simpledist.client.client import Client, connect
from simpledist.embedded import HOST, EmbeddedRedis
from simpledist.embedded.watchdog import Keeper, end_process, kept
from simpledist.errors import OperatorError, RedisDown
from simpledist.job import DEFAULT_NAMESPACE
from simpledist.wire import user_key

READY_SECONDS = 20.0
STOP_SECONDS = 5.0


class RoleProcess:
    """One process of a role: a worker or a distributor. What it writes is collected in a file."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, title: str) -> None:
        self.title = title
        self.output = output
        self.id = ""  # a worker's id, once its row was seen
        self._process = process
        self._keeper: Keeper | None = kept(process, output.parent)

    def __repr__(self) -> str:
        return f"<{self.title} {self.id} pid {self.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: as if its machine had lost power. Returns once it is gone."""
        self._process.kill()
        self.wait()

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = READY_SECONDS) -> int:
        """Send a signal and return the exit code; OperatorError if it still runs after so many seconds."""
        self.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = READY_SECONDS) -> int:
        """Wait for its end and return its exit code; raise OperatorError if it still runs after `seconds`."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise OperatorError(f"{self!r} still runs after {seconds} s; it wrote:\n{self.stderr_text()}") from None
        self._dismiss_keeper()
        return code

    def end(self, seconds: float = STOP_SECONDS, *, signalled: bool = False) -> int:
        """Send SIGTERM (unless it has one already: `signalled`), SIGKILL if it goes on, and return its exit code."""
        code = end_process(self._process, seconds=seconds, signalled=signalled)
        self._dismiss_keeper()
        return code

    def stderr_text(self) -> str:
        """Return what it has written so far, on stdout and stderr."""
        return self.output.read_text("utf-8", "replace")

    def _dismiss_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.dismiss()


class Cluster:
    """Redis, `workers` workers for `targets`, and a distributor if asked for; all of it ends with the `with` block.

    `targets` are a worker's (`fns:fib`), imported from `folder`, by default the current one. `redis`: an EmbeddedRedis
    that somebody else ends, or a URL; by default one of our own, on a Unix socket. `secret_file`: the key; by default
    the user's own, and where the user has none yet, one next to the socket, which goes with it: each process that is
    given the URL finds it there. `environment` is added to that of every process. One thread at a time may use it.
    """

    def __init__(
        self,
        targets: str | Sequence[str] = (),
        *,
        workers: int = 1,
        slots: int | None = None,
        folder: str | os.PathLike[str] | None = None,
        distributor: bool = False,
        web: bool = False,
        redis: EmbeddedRedis | str | None = None,
        appendonly: bool = False,
        namespace: str = DEFAULT_NAMESPACE,
        secret_file: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.targets = (targets,) if isinstance(targets, str) else tuple(targets)
        self.namespace = namespace
        self.workers: list[RoleProcess] = []
        self.distributors: list[RoleProcess] = []
        self.dashboard_url = ""
        self._first_workers = workers if self.targets else 0
        self._slots = slots
        self._folder = Path(folder) if folder is not None else Path.cwd()
        self._distributor = distributor or web
        self._web = web
        self._own_redis = EmbeddedRedis(appendonly=appendonly) if redis is None else None
        self._redis = redis if redis is not None else self._own_redis
        self._secret_file = secret_file
        self._environment = dict(environment or {})
        self._outputs: Path | None = None
        self._clients: list[Client] = []

    @property
    def redis(self) -> EmbeddedRedis:
        """Return the embedded Redis, which a test may stop and start at any time."""
        if not isinstance(self._redis, EmbeddedRedis):
            raise OperatorError("this cluster was given the URL of a Redis that is not its own")
        return self._redis

    @property
    def url(self) -> str:
        return self._redis.url if isinstance(self._redis, EmbeddedRedis) else self._redis or ""

    def __enter__(self) -> Cluster:
        try:
            if self._own_redis is not None:
                self._own_redis.start()
            self._have_key()
            if self._distributor:
                self.start_distributor(web=self._web)
            started = [self.start_worker(ready=False) for _ in range(self._first_workers)]
            for worker in started:
                self.wait_ready(worker)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything that was started here: clients, workers, distributors, Redis, files."""
        for client in self._clients:
            client.close(wait=False)
        processes = [*self.workers, *self.distributors]
        for process in processes:  # all at once, then each in turn
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        for process in processes:
            process.end(max(end - time.monotonic(), 0.1), signalled=True)
        if self._own_redis is not None:
            self._own_redis.close()
        if self._outputs is not None:
            shutil.rmtree(self._outputs, ignore_errors=True)

    def connect(self, **options: Any) -> Client:
        """Return a client of this cluster, which closes it; options as of `simpledist.connect`."""
        options = {"namespace": self.namespace, "secret_file": self._secret_file, **options}
        client = connect(self.url, **options)
        self._clients.append(client)
        return client

    def start_worker(
        self,
        *targets: str,
        slots: int | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        ready: bool = True,
    ) -> RoleProcess:
        """Start one more worker, by default with the cluster's targets and slots; `arguments` are added as they are.

        `environment` is added to the cluster's. With `ready` it returns once the worker's row stands in Redis;
        OperatorError if it ends before.
        """
        slots = slots or self._slots
        title = f"worker-{len(self.workers) + 1}"
        line = [*arguments, *(targets or self.targets)]
        if slots is not None:
            line = ["--slots", str(slots), *line]
        worker = self._start("simpledist.cli.worker", title, line, environment)
        self.workers.append(worker)
        if ready:
            self.wait_ready(worker)
        return worker

    def start_distributor(self, *, web: bool = False, arguments: Sequence[str] = ()) -> RoleProcess:
        """Start one more distributor; with `web`, return once its pages answer at `dashboard_url`."""
        title = f"distributor-{len(self.distributors) + 1}"
        port = _free_port() if web else 0
        line = ["--port", str(port), *arguments] if web else ["--no-web", *arguments]
        distributor = self._start("simpledist.cli.distributor", title, line)
        self.distributors.append(distributor)
        if web:
            self.dashboard_url = f"http://{HOST}:{port}/"
            self._wait(distributor, "listening", lambda: _listens(port))
        return distributor

    def wait_ready(self, worker: RoleProcess, seconds: float = READY_SECONDS) -> None:
        """Return once the worker's row stands in Redis; OperatorError if it ends before, or takes longer."""

        def registered() -> bool:
            worker.id = self._worker_ids().get(worker.pid, "")
            return bool(worker.id)

        self._wait(worker, "registered", registered, seconds)

    def _have_key(self) -> None:
        """Make a key next to the socket of a private Redis, where the user has none: so none is left in the home."""
        if not isinstance(self._redis, EmbeddedRedis) or self._redis.port is not None:
            return
        named = config.load(self.url, namespace=self.namespace, secret_file=self._secret_file).secret_file
        if not named and user_key.find(self.url) is None:
            user_key.make_next_to_socket(self.url)

    def _start(
        self, module: str, title: str, line: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> RoleProcess:
        if self._outputs is None:
            self._outputs = Path(tempfile.mkdtemp(prefix="sd-"))
        output = self._outputs / f"{title}.txt"
        settings = ["--redis", self.url, "--namespace", self.namespace]
        if self._secret_file is not None:
            settings += ["--secret-file", self._secret_file]
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *settings, *line],
                cwd=self._folder,
                env={**os.environ, **self._environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for us: we stop it in our own time.
                start_new_session=True,
            )
        return RoleProcess(process, output, title)

    def _wait(self, process: RoleProcess, what: str, done: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not done():
            if not process.running:
                raise OperatorError(f"{process!r} ended with {process.exit_code}:\n{process.stderr_text()}")
            if time.monotonic() > end:
                raise OperatorError(f"{process!r} is not {what} after {seconds} s:\n{process.stderr_text()}")
            time.sleep(0.02)

    def _worker_ids(self) -> dict[int, str]:
        """Process id -> worker id, of every row in Redis; none while Redis is away."""
        link = Link(self.url, name="simpledist-cluster")
        try:
            link.connect()
            rows = cast("list[bytes]", link.call("HGETALL", Keys(self.namespace).workers))
        except RedisDown:
            return {}
        finally:
            link.close()
        return {json.loads(row)["pid"]: id.decode() for id, row in zip(rows[::2], rows[1::2], strict=True)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
