"""A program for concurrent.futures, on the cluster instead of a pool: one line differs.

Start `simpledist-worker fns` in this folder (its functions go by name), or `simpledist-worker --any` (any function
travels), then run this. Without a worker it runs here.
"""

from __future__ import annotations

from concurrent.futures import Executor, as_completed

import fns

import simpledist


def hits(executor: Executor, seeds: int) -> int:
    """Return how many darts hit; this function knows nothing of clusters."""
    futures = [executor.submit(fns.pi, seed, throws=20_000) for seed in range(seeds)]
    return sum(future.result() for future in as_completed(futures))


def main() -> None:
    with simpledist.connect() as client, client.executor() as executor:  # was: with ProcessPoolExecutor() as executor
        print(f"pi is about {4 * hits(executor, 20) / 400_000:.3f}")
        print(list(executor.map(fns.fib, range(15))))


if __name__ == "__main__":
    main()
