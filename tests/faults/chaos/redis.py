"""What is done to Redis: killed, emptied, cut short, frozen, made to refuse writes, commands or users; and healed."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from simpledist.broker import Keys, Link
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused
from tests.faults.chaos.ways import CLIENT, WORKER, Later

# Each limit as the server has it by default, and as small as it may be: a value of the loads is larger than that.
LIMITS = (
    ("proto-max-bulk-len", "536870912", "1mb"),
    ("client-query-buffer-limit", "1073741824", "1mb"),
    ("client-output-buffer-limit", "normal 0 0 0", "normal 1mb 1mb 1"),
)
# What a user may no longer do: one command of ours, those for big values, or anything at all.
RIGHTS = ("-evalsha", "-blpop", "-append", "-getrange", "-rename", "-rpush", "-set", "-del", "-time", "-@all")

EVICT = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end return 1"


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
        return self._tell_if_well("FLUSHALL")

    def scripts_flushed(self) -> bool:
        return self._tell_if_well("SCRIPT", "FLUSH")

    def archives_evicted(self) -> bool:
        """As where a full Redis throws away what has a TTL."""
        return self._tell_if_well("EVAL", EVICT, "0", Keys().named("archive", "*"))

    def blobs_evicted(self) -> bool:
        return self._tell_if_well("EVAL", EVICT, "0", Keys().named("blob", "*"))

    def connections_killed(self) -> bool:
        return self._tell_if_well("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def limits_lowered(self) -> bool:
        """As on a server that somebody has hardened: what is too big is refused, or costs its connection."""
        name, _, small = self._chance.choice(LIMITS)
        self._later(self._chance.uniform(1.0, 5.0), self._take_all_sizes)
        return self._tell_if_well("CONFIG", "SET", name, small)

    def rights_taken_from_workers(self) -> bool:
        return self._take_a_right(WORKER)

    def rights_taken_from_clients(self) -> bool:
        return self._take_a_right(CLIENT)

    def _take_a_right(self, user: str) -> bool:
        self._later(self._chance.choice((0.5, 2.0, 5.0)), lambda: self._give_rights(user))
        return self._tell_if_well("ACL", "SETUSER", user, self._chance.choice(RIGHTS))

    # --- and heals ---------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        self._thaw()
        self._redis.start()
        self._take_writes()
        self._take_all_sizes()
        for user in (WORKER, CLIENT):
            self._give_rights(user)

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

    def _take_all_sizes(self) -> None:
        for name, usual, _ in LIMITS:
            self._undo("CONFIG", "SET", name, usual)

    def _give_rights(self, user: str) -> None:
        self._undo("ACL", "SETUSER", user, "+@all")

    def _undo(self, *command: str) -> None:
        """Tell it so once it serves; one that has died meanwhile starts with what is usual."""
        if self._redis.running and not self._tell_if_well(*command):
            self._later(0.5, lambda: self._undo(*command))

    def _tell_if_well(self, *command: str) -> bool:
        return self._well and self._tell(*command)

    def _tell(self, *command: str) -> bool:
        link = Link(self._redis.url, name="chaos")
        try:
            link.connect()
            link.call(*command)
        except (RedisDown, RedisRefused):
            return False  # it has just been struck by something else
        else:
            return True
        finally:
            link.close()


def void(_: object) -> None:
    """An action's value is no one's."""
