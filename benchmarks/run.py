"""The run: each round asks every peer once, in rotated order, so that a busy minute of the machine hits them all.

    python -m benchmarks.run [--quick] [--works single,submits1] [--peers floor,ours,huey] [--rounds N]

Adds to benchmarks/results.json, then writes the table and the pictures (report.py, plots.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import environments, figures, plots, report, results
from benchmarks.driver import PeerFailed, running
from benchmarks.works import WORKS, Work
from simpledist.embedded import EmbeddedRedis

QUICK_PEERS = ("floor", "ours", "huey", "saq", "pool")


def main() -> None:
    options = _options()
    wanted = set(options.works.split(",")) if options.works else None
    works = [one for one in WORKS if (one.name in wanted if wanted else one.quick or not options.quick)]
    peers = (
        options.peers.split(",") if options.peers else list(QUICK_PEERS if options.quick else environments.REQUIREMENTS)
    )
    pythons, absent = _pythons(peers)
    with EmbeddedRedis(port=0, arguments=("--save", "")) as server:
        version = figures.redis_version(server.url)
        for work in works:
            began = time.monotonic()
            numbers = _measure(work, pythons, server.url, options.rounds or (1 if options.quick else work.rounds))
            results.save({work.name: numbers}, version, absent)
            _say(work, numbers, time.monotonic() - began)
    report.write()
    plots.write()


def _pythons(peers: list[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The interpreter of each peer that can be had, and why the others cannot."""
    pythons: dict[str, Path] = {}
    absent: dict[str, str] = {}
    for peer in peers:
        try:
            pythons[peer] = environments.python_of(peer)
        except environments.NotHere as error:
            absent[peer] = str(error)
            print(f"{peer} is left out: {error}", file=sys.stderr)
    return pythons, absent


def _measure(work: Work, pythons: dict[str, Path], url: str, rounds: int) -> dict[str, list[float]]:
    numbers: dict[str, list[float]] = {}
    peers = [peer for peer in work.peers if peer in pythons and peer not in work.left_out]
    for turn in range(rounds):
        for peer in peers[turn % max(len(peers), 1) :] + peers[: turn % max(len(peers), 1)]:
            figures.flush(url)
            try:
                if work.measure is not None:
                    with running(peer, pythons[peer], url, workers=work.workers, slots=work.slots) as driver:
                        numbers.setdefault(peer, []).append(work.measure(driver))
                elif work.figure is not None:
                    for what, number in work.figure(url).items():
                        numbers.setdefault(what, []).append(number)
            except PeerFailed as error:
                print(f"{work.name}: {peer} is left out: {error}", file=sys.stderr)
    return numbers


def _say(work: Work, numbers: dict[str, list[float]], seconds: float) -> None:
    print(f"{work.title} ({work.unit})   [{seconds:.0f} s]")
    for what, rounds in numbers.items():
        print(f"    {what:14} {results.median(rounds):12,.3f}  +-{results.spread(rounds):4.0%}")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="2-3 minutes: fewer peers, one round")
    parser.add_argument("--works", help=", ".join(one.name for one in WORKS))
    parser.add_argument("--peers", help=", ".join(environments.REQUIREMENTS))
    parser.add_argument("--rounds", type=int, help="how often each peer is asked")
    return parser.parse_args()


if __name__ == "__main__":
    main()
