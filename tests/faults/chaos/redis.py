"""What is done to Redis: killed, emptied, cut short, frozen, made to refuse writes; and healed again."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from simpledist.broker import Link
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused

Later = Callable[[float, Callable[[], None]], None]  # do this in so many seconds


class RedisFaults:
    """One Redis with an append-only file in `data`; each fault says whether it struck."""

    def __init__(self, redis: EmbeddedRedis, data: Path, chance: random.Random, later: Later) -> None:
        self._redis = redis
        self._data = data
        self._chance = chance
        self._later = later
        self._frozen = False

    # --- it dies -----------------------------------------------------------------------------------------------------

    def killed_and_back_with_its_file(self) -> bool:
        return self._kill(lambda: None)

    def killed_and_back_empty(self) -> bool:
        return self._kill(lambda: shutil.rmtree(self._data, ignore_errors=True))

    def killed_and_back_with_its_file_cut_short(self) -> bool:
        """As after a loss of power: the last writes are there in part."""
        return self._kill(self._cut_the_file)

    def _kill(self, meanwhile: Callable[[], None]) -> bool:
        if not self._well:
            return False
        self._redis.kill()
        meanwhile()
        self._later(self._chance.choice((0.0, 0.5, 2.0, 7.0)), lambda: void(self._redis.start()))
        return True

    def _cut_the_file(self) -> None:
        files = [path for path in self._data.rglob("*.aof") if path.stat().st_size]
        if files:
            path = max(files, key=lambda one: one.stat().st_mtime)
            os.truncate(path, max(path.stat().st_size - self._chance.randint(1, 400), 0))

    # --- it lives, and does not serve --------------------------------------------------------------------------------

    def frozen(self) -> bool:
        if not self._well:
            return False
        os.kill(self._redis.pid, signal.SIGSTOP)
        self._frozen = True
        self._later(self._chance.choice((0.2, 1.0, 3.0)), self._thaw)
        return True

    def refuses_writes(self) -> bool:
        """As with a full disk: where it cannot save, it takes no more writes (MISCONF)."""
        if not self._well:
            return False
        (self._data / "dump.rdb").mkdir(parents=True, exist_ok=True)  # where its snapshot would go
        self._tell("CONFIG", "SET", "save", "3600 1000000")
        self._tell("BGSAVE")
        self._later(self._chance.choice((0.5, 2.0)), self._take_writes)
        return True

    def emptied(self) -> bool:
        return self._told("FLUSHALL")

    def scripts_flushed(self) -> bool:
        return self._told("SCRIPT", "FLUSH")

    def connections_killed(self) -> bool:
        return self._told("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    # --- and heals ---------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        self._thaw()
        self._redis.start()
        self._take_writes()

    @property
    def _well(self) -> bool:
        return self._redis.running and not self._frozen

    def _thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            os.kill(self._redis.pid, signal.SIGCONT)

    def _take_writes(self) -> None:
        if self._well:
            self._tell("CONFIG", "SET", "save", "")
        shutil.rmtree(self._data / "dump.rdb", ignore_errors=True)

    def _told(self, *command: str) -> bool:
        if not self._well:
            return False
        self._tell(*command)
        return True

    def _tell(self, *command: str) -> None:
        link = Link(self._redis.url, name="chaos")
        try:
            link.connect()
            link.call(*command)
        except (RedisDown, RedisRefused):
            return  # it has just been struck by something else
        finally:
            link.close()


def void(_: object) -> None:
    """An action's value is nobody's."""
