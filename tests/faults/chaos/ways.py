"""The ways from a role to Redis, and what is done to them: direct, through a proxy, over a throttled link.

A role may also come as a user whose rights are taken away at run time (redis.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import TracebackType

from tests.faults.proxy import Proxy
from tests.faults.throttle import Throttle

Later = Callable[[float, Callable[[], None]], None]  # do this in so many seconds

WORKER, CLIENT, PASSWORD = "worker", "client", "chaos"
THROUGH_PROXY, THROUGH_THROTTLE, AS_USER = 0.25, 0.25, 0.5  # of the workers
SPOILINGS = ("cut", "swallow", "truncate", "garble", "foreign", "delay")
RATES = (100_000.0, 400_000.0, 2_000_000.0)  # bytes a second of a throttled link


def arguments_of_server() -> list[str]:
    """Return what makes a server know both users, after each start."""
    users = (WORKER, CLIENT)
    return [word for name in users for word in ("--user", name, "on", f">{PASSWORD}", "~*", "&*", "+@all")]


def as_user(url: str, name: str) -> str:
    """Return the same address for this user."""
    return url.replace("://", f"://{name}:{PASSWORD}@", 1)


class Ways:
    """Use it in a `with` block: it holds the proxy and the throttled link."""

    def __init__(self, url: str) -> None:
        self.direct = url
        self.proxy = Proxy(url)
        self.throttle = Throttle(url, 0.0)

    def __enter__(self) -> Ways:
        self.proxy.__enter__()
        self.throttle.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.throttle.__exit__()
        self.proxy.__exit__()

    def of_a_worker(self, chance: random.Random) -> str:
        """Draw the URL of a worker that is about to start."""
        way, user = chance.random(), chance.random() < AS_USER
        if way < THROUGH_PROXY:
            url = self.proxy.url
        elif way < THROUGH_PROXY + THROUGH_THROTTLE:
            url = self.throttle.url
        else:
            url = self.direct
        return as_user(url, WORKER) if user else url

    def of_clients(self) -> list[str]:
        """Return one URL for each load that lives as long as the run."""
        return [self.direct, self.proxy.url, as_user(self.throttle.url, CLIENT)]


class WayFaults:
    """Each fault says whether it struck."""

    def __init__(self, ways: Ways, chance: random.Random, later: Later) -> None:
        self._proxy = ways.proxy
        self._throttle = ways.throttle
        self._chance = chance
        self._later = later

    def wire_slow(self) -> bool:
        self._proxy.slow(0.2)
        self._later(self._chance.uniform(1.0, 4.0), lambda: self._proxy.slow(0.0))
        return True

    def wire_cut(self) -> bool:
        self._proxy.cut_all()
        return True

    def replies_spoiled(self) -> bool:
        self._proxy.strike("*", self._chance.choice(SPOILINGS), times=self._chance.randint(1, 5), seconds=0.5)
        return True

    def link_throttled(self) -> bool:
        self._throttle.set_rate(self._chance.choice(RATES))
        self._later(self._chance.uniform(2.0, 8.0), lambda: self._throttle.set_rate(0.0))
        return True

    def heal(self) -> None:
        self._proxy.relent()
        self._throttle.set_rate(0.0)
