"""A broker on a test's own clock, and the few steps that most tests of verbs begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from simpledist.broker import Broker, Keys, Link, scripts
from simpledist.broker.parsing import parse_reply
from simpledist.broker.records import Claimed, Ended, Reply
from simpledist.buffers import Data, parts_of

CLOCK_KEY = "tests:clock"
CLOCK = f"tonumber(redis.call('GET', '{CLOCK_KEY}'))"
VERBS = scripts.load(clock=CLOCK)
BEGIN_US = 1_700_000_000_000_000
RUN_ID = "run1"


@dataclass(frozen=True)
class Place:
    """A Redis: its kind, its URL, and how to connect where a URL does not do."""

    kind: str
    url: str
    make_connection: Callable[[], Any] | None

    def link(self) -> Link:
        link = Link(self.url, name="tests", make_connection=self.make_connection)
        link.connect()
        return link


class Bench:
    """Verbs, clock and raw Redis of one test."""

    def __init__(self, place: Place, namespace: str = "simpledist") -> None:
        self.place = place
        self.link = place.link()
        self.keys = Keys(namespace)
        self.broker = Broker(self.link, self.keys, VERBS)
        self.redis = self.link.call
        self._nonces = 0
        self.now_us = 0
        self.begin_again()

    def begin_again(self) -> None:
        """An empty Redis at the beginning of time."""
        # fakeredis has no run id, and a test wants to say when the run changes.
        self.link.identity = f"{RUN_ID}:1"
        self.now_us = BEGIN_US
        self.wipe()

    def wipe(self) -> None:
        """Redis is empty from one moment to the next."""
        self.redis("FLUSHALL")
        self.advance(0)

    def close(self) -> None:
        self.link.close()

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self.now_us // 1000

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)
        self.redis("SET", CLOCK_KEY, self.now_us)

    # --- steps ---------------------------------------------------------------------------------------------------

    def worker(self, worker: str = "w1", *functions: str, connection: str = f"{RUN_ID}:100") -> str:
        """Register a worker (of `fib`, if no function is named)."""
        names = functions or ("fib",)
        row = {"host": "here", "functions": list(names), "connection": connection}
        beaten = self.broker.beat(worker, connection, [], row, names)
        assert beaten.known
        return worker

    def submit(
        self, *ids: str, function: str = "fib", client: str = "c1", connection: str = f"{RUN_ID}:200"
    ) -> list[str]:
        """Submit calls whose bytes are their ids."""
        calls = [(id, id.encode()) for id in ids]
        return [str(word) for word in self.broker.submit(function, client, connection, calls).words]

    def nonce(self) -> str:
        self._nonces += 1
        return f"n{self._nonces}"

    def claim(self, slots: int = 1, *, worker: str = "w1", function: str = "fib") -> list[Claimed]:
        """Claim what is queued, without a BLPOP before."""
        return self.broker.claim(worker, self.nonce(), function, [], range(slots))

    def pop(self, function: str = "fib") -> bytes:
        """What BLPOP gives."""
        _, element = self.redis("BLPOP", self.keys.queue(function), 1)
        return element

    def succeed(self, claimed: Claimed, value: bytes = b"value", *, worker: str = "w1") -> str:
        words, _ = self.broker.complete(worker, self.nonce(), [Ended(claimed.held, "value", value, 5)])
        return words[0]

    def reap(self, *functions: str, **candidates: Any) -> Any:
        return self.broker.reap(run_id=self.link.run_id, functions=functions or ("fib",), **candidates)

    def call_bytes(self, id: str) -> bytes:
        return whole(self.broker.download_call(id).run())

    def result_bytes(self, reply: Reply) -> bytes:
        """The bytes of a result, wherever they lie."""
        return reply.result if reply.result is not None else whole(self.broker.download_result(reply.id).run())

    # --- what is in Redis ----------------------------------------------------------------------------------------

    def job(self, id: str) -> dict[str, str]:
        return self.hash(self.keys.named("job", id))

    def hash(self, key: str) -> dict[str, str]:
        answer = cast("list[bytes] | dict[bytes, bytes]", self.redis("HGETALL", key))
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        return {field.decode(): value.decode() for field, value in pairs}

    def state(self, id: str) -> str | None:
        return self.job(id).get("state")

    def queue(self, function: str = "fib") -> list[str]:
        """The ids in the list, head first."""
        elements: Sequence[bytes] = self.redis("LRANGE", self.keys.queue(function), 0, -1)
        return [element.decode().partition(".")[2] for element in elements]

    def ledger(self, function: str = "fib") -> list[str]:
        """The ids in the ledger, oldest first."""
        return [id.decode() for id in self.redis("ZRANGE", self.keys.named("queued", function), 0, -1)]

    def replies(self, client: str = "c1") -> list[Reply]:
        return [parse_reply(element) for element in self.redis("LRANGE", self.keys.reply(client), 0, -1)]

    def exists(self, template: str, part: str) -> bool:
        return bool(self.redis("EXISTS", self.keys.named(template, part)))


def whole(data: Data | None) -> bytes:
    """What may have come in pieces, as one; b"" if it is gone."""
    return b"" if data is None else b"".join(parts_of(data))
