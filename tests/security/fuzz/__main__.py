"""`make fuzz MINUTES=10`: all targets for so long, and what came of it."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time

import psutil

from simpledist.broker import Broker, Keys, Link
from simpledist.embedded import EmbeddedRedis
from simpledist.monitor import Monitor
from tests.security.fuzz import targets
from tests.web.site import application

ROUND = 200  # pages of one content of Redis, each behind some writes


def main() -> int:
    """Print progress each ten seconds, and the figures at the end."""
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = options.parse_args()
    logging.disable()  # of each element that is dropped
    draw, process = random.Random(given.seed), psutil.Process()
    counts: dict[str, int] = {"envelopes": 0, "replies": 0, "pages": 0, "verbs": 0, "exceptions": 0}
    print(f"seed {given.seed}", flush=True)

    def step(name: str, run: object, *arguments: object) -> None:
        counts[name] += 1
        try:
            run(draw, *arguments)  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - that is what it looks for
            counts["exceptions"] += 1
            print(f"{name} {counts[name]}: {type(error).__name__}: {str(error)[:500]!r}", flush=True)

    with EmbeddedRedis() as server:
        link = Link(server.url, name="fuzz")
        link.connect()
        keys = Keys()
        broker = Broker(link, keys)
        ends, reported_at, first_bytes = time.monotonic() + 60 * given.minutes, time.monotonic(), 0
        while time.monotonic() < ends:
            link.call("FLUSHALL", timeout=10)
            monitor = Monitor.connect(server.url, keep_seconds=0.0)
            client = application(monitor).test_client()
            for _ in range(ROUND):
                for _ in range(5):
                    targets.write(draw, link, keys)
                step("pages", targets.page, client)
                if not link.connected:
                    link.connect()
                step("verbs", targets.verbs, link, broker)
                if not link.connected:
                    link.connect()
                for _ in range(5):
                    step("replies", targets.reply)
                for _ in range(100):
                    step("envelopes", targets.envelope)
                if time.monotonic() - reported_at > 10:
                    reported_at = time.monotonic()
                    first_bytes = first_bytes or process.memory_info().rss
                    grown = (process.memory_info().rss - first_bytes) / 1e6
                    print(
                        ", ".join(f"{n:,} {name}" for name, n in counts.items()) + f", grown {grown:.1f} MB", flush=True
                    )
                if time.monotonic() > ends:
                    break
            monitor.close()
        link.close()
    grown = (process.memory_info().rss - (first_bytes or process.memory_info().rss)) / 1e6
    print("in all: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()) + f", grown {grown:.1f} MB")
    return int(counts["exceptions"] > 0)


if __name__ == "__main__":
    sys.exit(main())
