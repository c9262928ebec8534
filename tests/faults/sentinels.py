"""A primary, a replica and three Sentinels that watch over them, all on loopback and behind passwords."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from simpledist.broker import Link
from simpledist.embedded import HOST, EmbeddedRedis
from simpledist.embedded.watchdog import Keeper, end_process
from simpledist.errors import OperatorError
from tests import needs
from tests.commands import free_port
from tests.waiting import wait_until

SERVICE = "main"
WORD = "redis-word"
SENTINEL_WORD = "sentinel-word"
DOWN_MS = 500


class Trio:
    """Between `with` and its end; `url` is what simpledist is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = needs.program("redis-sentinel")
        words = ("--requirepass", WORD, "--masterauth", WORD, "--repl-diskless-sync-delay", "0")
        self.servers = [EmbeddedRedis(port=0, arguments=words) for _ in range(2)]
        self._ports: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> Trio:
        with ExitStack() as stack:
            first, second = (stack.enter_context(server) for server in self.servers)
            self._tell(f"redis://:{WORD}@{HOST}:{second.port}", "REPLICAOF", HOST, str(first.port))
            for number in range(3):
                self._ports.append(free_port())
                self._start_sentinel(stack, self._folder / f"sentinel-{number}.conf", self._ports[-1], first.port or 0)
            wait_until(lambda: all(self._ready(port) for port in self._ports), 30, "each could lead a failover")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        places = ",".join(f"{HOST}:{port}" for port in self._ports)
        return f"redis+sentinel://:{WORD}@{places}/{SERVICE}?sentinel_password={SENTINEL_WORD}"

    @property
    def primary(self) -> EmbeddedRedis:
        """Whom the first Sentinel says to be it."""
        return next(server for server in self.servers if server.port == self._named(self._ports[0]))

    def fail_over(self) -> None:
        """By an operator's word: the old primary lives on, as a replica. Returns once it is one."""
        old = self.primary
        self._ask(self._ports[0], "FAILOVER", SERVICE)
        self.wait_promoted(old)
        # Sentinel does the same, ten to twenty seconds later.
        url = f"redis://:{WORD}@{HOST}:{old.port}"
        self._tell(url, "REPLICAOF", HOST, str(self.primary.port))
        self._tell(url, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def wait_promoted(self, old: EmbeddedRedis, seconds: float = 20.0) -> None:
        """Until all three name another than `old`."""
        wait_until(lambda: all(self._named(port) != old.port for port in self._ports), seconds, "a promotion")

    def _ready(self, port: int) -> bool:
        facts = dict(zip(*[iter(self._ask(port, "MASTER", SERVICE))] * 2, strict=True))
        replicas = self._ask(port, "REPLICAS", SERVICE)
        return (
            facts[b"flags"] == b"master"
            and facts[b"num-other-sentinels"] == b"2"
            and len(replicas) == 1
            and dict(zip(*[iter(replicas[0])] * 2, strict=True)).items()
            >= {b"flags": b"slave", b"master-link-status": b"ok"}.items()
        )

    def _named(self, port: int) -> int:
        return int(self._ask(port, "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def _ask(self, port: int, *words: str) -> list[bytes]:
        return self._tell(f"redis://:{SENTINEL_WORD}@{HOST}:{port}", "SENTINEL", *words)

    def _tell(self, url: str, *command: str) -> list[bytes]:
        link = Link(url, name="tests")
        try:
            link.connect()
            return link.call(*command)
        finally:
            link.close()

    def _start_sentinel(self, stack: ExitStack, file: Path, port: int, primary: int) -> None:
        file.write_text(
            f"""port {port}
bind {HOST}
dir {self._folder}
requirepass {SENTINEL_WORD}
sentinel sentinel-pass {SENTINEL_WORD}
sentinel monitor {SERVICE} {HOST} {primary} 2
sentinel auth-pass {SERVICE} {WORD}
sentinel down-after-milliseconds {SERVICE} {DOWN_MS}
sentinel failover-timeout {SERVICE} 4000
"""
        )
        process = subprocess.Popen(
            [self._program, str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        keeper = Keeper(process.pid)
        stack.callback(keeper.dismiss)
        stack.callback(end_process, process)

        def answers() -> bool:
            with suppress(OperatorError):
                return bool(self._ask(port, "MYID"))
            return False

        wait_until(answers, 10, "a Sentinel answers")
