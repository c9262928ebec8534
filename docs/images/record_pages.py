"""Records docs/images/now.png and function.png: the dashboard of four workers with eight slots each, all busy.

Run it in the clone: `.venv/bin/python -m docs.images.record_pages`. It uses the verbs as clients and workers do, for a
minute of real time, so that the pictures do not depend on the machine. Needs Chromium, as the tests of the pages do.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path

from simpledist.broker.records import Claimed, Ended
from simpledist.broker.worker_stats import WorkerStats
from simpledist.embedded import EmbeddedRedis
from tests.stage import Stage
from tests.web.browser import Browser, start
from tests.web.site import Site

FOLDER = Path(__file__).parent
WORKERS = ("alder", "birch", "cedar", "douglas")
SLOTS = 8
# function -> how long it runs, in seconds
FUNCTIONS = {"fib": 1.2, "mandelbrot": 2.5, "pi": 4.0, "primes": 6.0, "integrate": 3.0, "simulate@2": 9.0}
SECONDS = 62.0
ERROR = "ValueError: no root\nfns.py:31 in integrate\nTraceback (most recent call last):\nValueError: no root in [3, 4]"


def play(stage: Stage, seconds: float) -> None:
    """Keep all slots busy, with a failure and a local run now and then."""
    chance = random.Random(7)
    busy: dict[tuple[str, int], tuple[float, float, Claimed]] = {}
    began = beat = time.monotonic()
    for worker in WORKERS:
        stage.worker(worker, *FUNCTIONS, slots=SLOTS, label=worker)
    for name in FUNCTIONS:
        stage.submit(400, name)
    while (now := time.monotonic()) < began + seconds:
        if now >= beat:
            beat = now + 2.0
            for worker in WORKERS:
                held = [claimed.held for (at, _), (_, _, claimed) in busy.items() if at == worker]
                stats = WorkerStats(len(held), 182 * 2**20, 700).text
                stage.broker.beat(worker, stage.link.identity, held, None, [], slots=SLOTS, stats=stats)
            stage.broker.ack("c1", [], {("pi", "no_worker"): 2, ("fib", "timeout"): 1})
        for worker in WORKERS:
            for slot in range(SLOTS):
                since, until, claimed = busy.get((worker, slot), (0.0, 0.0, None))
                if now < until:
                    continue
                if claimed is not None:
                    failed = claimed.held.function == "integrate" and chance.random() < 0.2
                    run_ms = round((now - since) * 1000)
                    ended = Ended(claimed.held, "error" if failed else "value", b"x", run_ms, ERROR if failed else "")
                    stage.broker.complete(worker, f"{worker}{slot}{now}", [ended])
                name = chance.choice(list(FUNCTIONS))
                found = stage.broker.claim(worker, f"{worker}-{slot}-{now}", name, [], [slot])
                if not found:
                    stage.submit(40, name)
                    continue
                claimed = found[0]
                busy[worker, slot] = (now, now + FUNCTIONS[name] * chance.uniform(0.4, 1.6), claimed)
        time.sleep(0.02)


def shoot(browser: Browser, url: str, name: str, *, width: int, height: int, scheme: str) -> None:
    """Write one picture."""
    browser.look(width, height, scheme)
    browser.open(url)
    time.sleep(2.5)
    (FOLDER / name).write_bytes(browser.screenshot())


def main() -> None:
    """Play for a minute, then take both pictures."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium is not None
    assert driver is not None
    profile = tempfile.mkdtemp()
    browser = start(chromium, driver, profile)
    try:
        with EmbeddedRedis(port=0) as server:
            stage = Stage(server)
            site = Site(stage)
            try:
                play(stage, SECONDS)
                shoot(browser, site.url + "/", "now.png", width=1280, height=1000, scheme="light")
                shoot(
                    browser, site.url + "/functions/integrate", "function.png", width=1280, height=1000, scheme="dark"
                )
            finally:
                site.close()
                stage.close()
    finally:
        browser.quit()
        shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    main()
