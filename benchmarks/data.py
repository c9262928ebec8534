"""Calls that have data in common: one big array, one object that is slow to unpickle, next to Ray, Dask and joblib.

    python -m benchmarks.data [--rounds N] [--megabytes N] [--rows SUBSTRING] [--write]

Each round asks every peer once, in rotated order. `--write` puts the table into docs/sharing.md. Ctrl-C
ends the rounds; the table has what there is by then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import environments, figures, results
from benchmarks.driver import Driver, PeerFailed, running
from simpledist.embedded import EmbeddedRedis

PAGE = Path(__file__).parents[1] / "docs" / "sharing.md"
BEGIN, END = "<!-- data -->", "<!-- /data -->"
LOOK_SECONDS = 0.05
CALLS = 100
TITLES = {"ours": "**simpledist**", "ray": "Ray", "dask": "Dask", "loky": "joblib, loky", "huey": "Huey"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what is asked of which peer."""

    work: str
    peer: str
    how: str
    slots: int
    act: str
    arguments: dict[str, Any]


def rows(megabytes: int) -> list[Row]:
    """Return all rows, those of one work together."""
    work = f"{CALLS} calls with {megabytes} MB, 8 slots"

    def array(peer: str, how: str, kind: str, way: str) -> Row:
        return Row(work, peer, how, 8, "array", {"megabytes": megabytes, "number": CALLS, "kind": kind, "way": way})

    found = [array("ours", f"{kind}, {way}", kind, way) for kind in _KINDS for way in ("submit", "map", "joblib")]
    found += [array("ours", f"{kind}, plain calls", kind, "plain") for kind in ("immutable", "writeable")]
    found += [array("ray", "`ray.put`", "shared", "submit"), array("dask", "`scatter`", "shared", "submit")]
    found += [array("loky", "memmap", "writeable", "joblib")]
    found += [
        Row("24 joblib calls with 40 MB, 4 slots", peer, "writeable", 4, "array", _FORTY) for peer in ("ours", "loky")
    ]
    found += [
        Row("200 calls with an object of 0.5 s, 4 slots", peer, how, 4, "model", {"number": 200})
        for peer, how in (("ours", "`share`"), ("dask", "`scatter`"))
    ]
    found += [
        Row(f"{size} MB echoed", peer, "", 1, "echo", {"size": size * 1024 * 1024})
        for size in (10, 100)
        for peer in ("ours", "huey")
    ]
    return found


_KINDS = ("immutable", "shared", "writeable")
_FORTY: dict[str, Any] = {"megabytes": 40, "number": 24, "kind": "writeable", "way": "joblib"}


class Memory:
    """The most that a peer's client, and its workers together, held of memory of their own meanwhile, in MB.

    What processes share (files, memfd, /dev/shm) is no memory of their own. Workers: beyond what they held before.
    """

    def __init__(self, driver: Driver, redis: int) -> None:
        self._driver = driver
        self._redis = psutil.Process(redis)
        self._end = threading.Event()
        _, self._before = self._look()
        self.client = self.workers = 0.0
        self._cpu_before = self._cpu_seconds()

    @contextlib.contextmanager
    def watched(self) -> Generator[Memory]:
        """Watch while the block runs."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()

    @property
    def cpu_seconds(self) -> float:
        """Return what the peer's processes and Redis have computed: on a busy machine it tells more than the time."""
        return self._cpu_seconds() - self._cpu_before

    def _cpu_seconds(self) -> float:
        seconds = 0.0
        for process in (self._redis, *self._driver.family()):
            with contextlib.suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:2])
        return seconds

    def _watch(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            client, workers = self._look()
            self.client, self.workers = max(self.client, client), max(self.workers, workers - self._before)

    def _look(self) -> tuple[float, float]:
        client, *workers = [_own_megabytes(process.pid) for process in self._driver.family()] or [0.0]
        return client, sum(workers)


def _own_megabytes(pid: int) -> float:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) * 1024 / 1e6
    return 0.0


def measured(row: Row, python: Path, url: str) -> dict[str, float]:
    """Return the figures of one row, once. Raises PeerFailed."""
    figures.flush(url)
    with running(row.peer, python, url, workers=1, slots=row.slots) as driver:
        if row.act == "echo":
            driver.ask("echo", size=1024 * 1024)
        if row.act == "array":
            driver.ask("warm", number=8 * row.slots, way=row.arguments["way"])
        time.sleep(0.5)
        memory, before = Memory(driver, int(figures.redis_info(url, "server")["process_id"])), _sent_bytes(url)
        with memory.watched():
            answer = driver.ask(row.act, **row.arguments)
        found = {
            "seconds": answer["seconds"],
            "cpu": memory.cpu_seconds,
            "client": memory.client,
            "workers": memory.workers,
        }
        if row.peer == "ours" and "bytes" in answer:
            found["transferred"] = (_sent_bytes(url) - before) / answer["bytes"]
        if "decoded" in answer:
            found["decoded"] = answer["decoded"]
        return found


def _sent_bytes(url: str) -> int:
    return int(figures.redis_info(url, "stats")["total_net_output_bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.data", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often each peer is asked")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the big array")
    parser.add_argument("--rows", default="", help="only rows with this in them: `24 joblib`, `ours`, `writeable, map`")
    parser.add_argument("--write", action="store_true", help="put the table into docs/sharing.md")
    options = parser.parse_args()
    os.environ["BENCH_OPTIONS"] = "--any"  # joblib's batches travel with their code
    wanted = [row for row in rows(options.megabytes) if options.rows in f"{row.work} {row.peer} {row.how}"]
    pythons: dict[str, Path] = {}
    for peer in dict.fromkeys(row.peer for row in wanted):
        try:
            pythons[peer] = environments.python_of(peer)
        except environments.NotHere as error:
            print(f"{peer} is left out: {error}", file=sys.stderr)
    found: dict[int, list[dict[str, float]]] = {}
    with contextlib.suppress(KeyboardInterrupt), EmbeddedRedis(port=0, arguments=("--save", "")) as server:
        for turn in range(options.rounds):
            order = [number for number, row in enumerate(wanted) if row.peer in pythons]
            cut = turn * len(order) // options.rounds
            for number in order[cut:] + order[:cut]:
                row = wanted[number]
                try:
                    numbers = measured(row, pythons[row.peer], server.url)
                except PeerFailed as error:
                    print(f"{row.work}: {row.peer}, {row.how}: {error}", file=sys.stderr)
                    continue
                found.setdefault(number, []).append(numbers)
                print(f"{row.work:45} {row.peer:5} {row.how:24} {_short(numbers)}", flush=True)
    text = table([(wanted[number], numbers) for number, numbers in sorted(found.items())])
    print(text)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def _short(numbers: dict[str, float]) -> str:
    return "  ".join(f"{name} {number:.2f}" for name, number in numbers.items())


def table(found: Sequence[tuple[Row, list[dict[str, float]]]]) -> str:
    """Return the medians as a table for people."""
    lines = [
        "| work | by | how | s | CPU s | client, MB | workers, MB | from Redis |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, rounds in found:
        median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        spread = results.spread([one["seconds"] for one in rounds])
        last = f"{median['transferred']:.1f}x" if "transferred" in median else ""
        last = f"decoded {median['decoded']:.0f}x" if "decoded" in median else last
        lines.append(
            f"| {row.work} | {TITLES[row.peer]} | {row.how} | {median['seconds']:.2f} (±{spread:.0%}) "
            f"| {median['cpu']:.1f} | {median['client']:.0f} | {median['workers']:.0f} | {last} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
