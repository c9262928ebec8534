"""A program for multiprocessing.Pool, on the cluster instead of this machine's processes: one line differs.

Start `simpledist-worker fns` in this folder (its functions go by name), or `simpledist-worker --any` (any function
travels), then run this. Without a worker it runs here.
"""

from __future__ import annotations

from multiprocessing.pool import Pool

import fns

import simpledist


def hits(pool: Pool, seeds: int) -> int:
    """Return how many darts hit; this function knows nothing of clusters."""
    return sum(pool.starmap(fns.pi, [(seed, 20_000) for seed in range(seeds)]))


def main() -> None:
    with simpledist.connect() as client, client.pool() as pool:  # was: with multiprocessing.Pool() as pool
        print(f"pi is about {4 * hits(pool, 20) / 400_000:.3f}")
        print(list(pool.imap(fns.fib, range(15))))


if __name__ == "__main__":
    main()
