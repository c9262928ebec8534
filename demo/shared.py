"""Identical calls are one run: `simpledist-worker fns:primes` here, then `python shared.py` (in two terminals at once).

Five callers ask the same: a worker runs one call, the other four join it. The next call gets its value from Redis.
"""

from __future__ import annotations

import fns

import simpledist


def how(future: simpledist.Future[int]) -> str:
    """Return where an outcome came from."""
    info = future.info
    assert info is not None
    return "cached" if info.cached else "joined" if info.joined else info.where


def main() -> None:
    with simpledist.connect() as dist:
        primes = simpledist.worker_function(dist, "primes", fns.primes, join=True, cache=60)
        primes.cache_clear()
        futures = [primes.submit(0, 200_000) for _ in range(5)]
        print({future.result() for future in futures}, sorted(how(future) for future in futures))
        again = primes.submit(0, 200_000)
        print(again.result(), how(again))


if __name__ == "__main__":
    main()
