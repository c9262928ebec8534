"""A cluster without processes: what stands in Redis is put there by the verbs, as a client and workers would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpledist import policy
from simpledist.broker import Broker, Keys, Link
from simpledist.broker.records import Ended
from simpledist.broker.worker_stats import WorkerStats
from simpledist.embedded import EmbeddedRedis
from simpledist.monitor import Monitor


class Stage:
    """One Redis, the verbs, and monitors that come and go."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self.server = server
        self.link = Link(server.url, name="tests")
        self.link.connect()
        self.keys = Keys()
        self.broker = Broker(self.link, self.keys)
        self.monitors: list[Monitor] = []
        self.ids = 0

    def monitor(self, keep_seconds: float = 0.0) -> Monitor:
        self.monitors.append(Monitor.connect(self.server.url, keep_seconds=keep_seconds))
        return self.monitors[-1]

    def close(self) -> None:
        self.link.close()
        for monitor in self.monitors:
            monitor.close()

    def worker(self, id: str = "w1", *functions: str, slots: int = 4, label: str = "", **facts: Any) -> None:
        """Beat as a worker; `facts` stand in its row beside the usual ones. One with `trouble` offers nothing."""
        names: Sequence[str] = functions or (() if "trouble" in facts else ("fib",))
        row = {
            "label": label or f"label of {id}",
            "host": "here",
            "pid": 4711,
            "python": "3.11.7",
            "functions": list(names),
            "slots": slots,
            "started": 1,
            "connection": self.link.identity,
            "protocol": policy.PROTOCOL,
            **facts,
        }
        self.broker.beat(id, self.link.identity, [], row, names, slots=slots, stats=WorkerStats(1, 2048 * 1024, 7).text)

    def submit(self, number: int = 1, function: str = "fib") -> list[str]:
        ids = [f"c1-{self.ids + i}" for i in range(number)]
        self.ids += number
        self.broker.submit(function, "c1", self.link.identity, [(id, b"call") for id in ids], require_worker=False)
        return ids

    def run(self, number: int = 1, *, function: str = "fib", run_ms: int = 100, error: str = "") -> list[str]:
        ids = self.submit(number, function)
        claimed = self.broker.claim("w1", ids[0], function, [], range(number))
        kind = "error" if error else "value"
        ended = [Ended(one.held, kind, b"value", run_ms, error) for one in claimed]
        self.broker.complete("w1", ids[0], ended)
        return ids
