"""The distributor's loop: the duties every 0.25 s, over a connection that comes back by itself."""

from __future__ import annotations

import random
import threading
import time

from simpledist import policy
from simpledist.broker import Broker, Keys, Link, denials
from simpledist.config import Config
from simpledist.distributor.duties import Duties
from simpledist.errors import RedisDown, RedisRefused
from simpledist.printable import logger

log = logger("simpledist.distributor")


class Daemon:
    """Does the duties until it is stopped; one thread calls `run`, any other thread may call `stop`."""

    def __init__(self, config: Config, timings: policy.Timings = policy.TIMINGS) -> None:
        self._link = Link(config.url, name="simpledist-distributor")
        self._where = config.safe_url
        self._timings = timings
        self._broker = Broker(self._link, Keys(config.namespace))
        self._link.bring_scripts = self._broker.load_scripts
        self._duties = Duties(self._broker, timings)
        self._stopped = threading.Event()
        self._well = False  # whether the last pass succeeded
        self._failures = 0
        self._complained_at = -1e9

    def check(self) -> None:
        """Do the duties once, to find out whether Redis refuses us; `run` waits for a Redis that is away."""
        try:
            self._connect()
            self._pass()
        except RedisRefused as error:
            raise RedisRefused(f"Redis at {self._where} refuses us: {denials.explained(str(error))}") from None
        except RedisDown as error:
            self._away(error)

    def run(self) -> None:
        """Do the duties again and again until `stop`."""
        due = time.monotonic()
        while not self._stopped.wait(max(due - time.monotonic(), 0.0)):
            try:
                if not self._link.connected:
                    self._connect()
                self._pass()
                self._served()
            except (RedisDown, RedisRefused) as error:
                self._away(error)
                due = time.monotonic() + policy.backoff_seconds(self._failures, random.random())
                continue
            except Exception as error:
                # A bug of ours must not end the duties while the page looks fine: begin again.
                log.exception("the duties begin again")
                self._away(RedisDown(str(error)))
                due = time.monotonic() + policy.backoff_seconds(self._failures, random.random())
                continue
            # After a long pass there is no burst of passes.
            due = max(due + self._timings.duties_seconds, time.monotonic())
        self._link.close()

    def stop(self) -> None:
        """End the loop after the pass under way."""
        self._stopped.set()

    def _pass(self) -> None:
        """Do the duties once, and log what they found."""
        reaped = self._duties.do()
        if reaped.requeued or reaped.dropped:
            log.info("%d lost jobs pushed back, %d jobs of dead clients dropped", reaped.requeued, reaped.dropped)
        for worker in self._duties.deaths(reaped):
            log.warning("worker %s is dead: its jobs went back to their queues", worker)

    def _connect(self) -> None:
        """Connect, and bring all scripts: a Redis that has begun again, or was a replica, may have none."""
        self._link.connect()
        self._broker.load_scripts()

    def _served(self) -> None:
        """Note that a pass succeeded. A connection alone proves less: a replica accepts it and takes no command."""
        if not self._well:
            log.info("connected to Redis %s at %s", self._link.version or "?", self._where)
        self._well, self._failures, self._complained_at = True, 0, -1e9

    def _away(self, error: RedisDown | RedisRefused) -> None:
        self._link.close()
        self._well = False
        self._failures += 1
        if time.monotonic() - self._complained_at > 60.0:
            self._complained_at = time.monotonic()
            if isinstance(error, RedisRefused):
                log.error("Redis at %s refuses us: %s", self._where, denials.explained(str(error)))
            elif denials.denial_in(str(error)) is not None:
                log.warning("waiting for Redis at %s: %s", self._where, denials.explained(str(error)))
            else:
                log.warning("waiting for Redis at %s: %s", self._where, error)
