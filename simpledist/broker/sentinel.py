"""Asks Sentinels where the primary is, each time that a Link connects.

Asks first the one that answered last. Trusts the first that knows the service; that the Redis it names
really is a primary, the Link sees for itself. Owned by the thread that owns the Link.
"""

from __future__ import annotations

from typing import Any

from simpledist import config
from simpledist.broker.connection import dialled, exchanged, translated
from simpledist.broker.resp import new_reader
from simpledist.broker.stream import Stream
from simpledist.config import sentinel_url
from simpledist.errors import RedisDown, RedisRefused
from simpledist.interruption import by_signal

SENTINEL_TIMEOUT_SECONDS = 0.5  # a Sentinel that is gone must not cost the time in which another would answer


class Sentinels:
    """The Sentinels of one URL. With `stays_here` a primary on another machine is refused: nothing is signed."""

    def __init__(self, url: str, *, name: str, stays_here: bool = False) -> None:
        self._url = sentinel_url.parse(url)
        self._name = name
        self._stays_here = stays_here
        self._nodes = self._url.sentinels()

    def primary(self) -> str:
        """Return the URL of the primary as it is now.

        Raises RedisDown where no Sentinel answers; RedisRefused where all refuse us or none knows the service.
        """
        troubles: list[RedisDown | RedisRefused] = []
        for node in list(self._nodes):
            try:
                host, port = self._ask(*node)
            except (RedisDown, RedisRefused) as error:
                troubles.append(error)
                continue
            self._nodes.remove(node)
            self._nodes.insert(0, node)
            return self._checked(self._url.primary(host, port))
        kind = RedisRefused if all(isinstance(one, RedisRefused) for one in troubles) else RedisDown
        raise kind("; ".join(dict.fromkeys(map(str, troubles))))

    def opinions(self) -> list[tuple[str, str, str]]:
        """(Sentinel, host:port of the primary that it names, what is wrong with it) of each, for people."""
        found: list[tuple[str, str, str]] = []
        for place, url in self._nodes:
            try:
                host, port = self._ask(place, url)
                found.append((place, f"{host}:{port}", ""))
            except (RedisDown, RedisRefused) as error:
                found.append((place, "", str(error)))
        return found

    def _ask(self, place: str, url: str) -> tuple[str, int]:
        sock, opening = dialled(url, name=self._name, seconds=SENTINEL_TIMEOUT_SECONDS)
        stream = Stream(sock, new_reader())
        commands = [*opening, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.service)]
        try:
            replies = exchanged(stream, commands, SENTINEL_TIMEOUT_SECONDS)
        except Exception as error:
            if by_signal(error):
                raise
            trouble = translated(error)
            raise type(trouble)(f"Sentinel {place}: {trouble}") from error
        finally:
            stream.close()
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, (RedisDown, RedisRefused)) and command[0] != "CLIENT":
                raise type(reply)(f"Sentinel {place}: {reply}")
        answer: Any = replies[-1]
        if not answer:
            raise RedisRefused(f"Sentinel {place} knows no service {self._url.service!r}")
        match answer:
            case [bytes(host), bytes(port)] if port.isdigit() and len(port) < 6:
                return host.decode("utf-8", "replace"), int(port)
            case _:
                raise RedisRefused(f"Sentinel {place} gives an answer that cannot be read: is it a Sentinel?")

    def _checked(self, url: str) -> str:
        if self._stays_here and not config.on_this_machine(url):
            raise RedisRefused(
                f"Sentinel names {config.redacted(url)}, which is on another machine, and no key is set: who can "
                "write to it could run code here. Give every process --secret-file FILE, or say --insecure"
            )
        return url
