"""The functions of `simpledist demo`: inside the package, so that the walk-through runs wherever it is installed.

demo/fns.py has more of them, to be copied.
"""

from __future__ import annotations

__all__ = ["fib", "primes", "throw"]


def fib(n: int) -> int:
    """The n-th Fibonacci number, the slow way."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def primes(start: int, stop: int) -> int:
    """How many primes there are in [start, stop)."""
    return sum(_is_prime(n) for n in range(start, stop))


def _is_prime(n: int) -> bool:
    if n < 2:
        return False
    divisor = 2
    while divisor * divisor <= n:
        if n % divisor == 0:
            return False
        divisor += 1
    return True


def throw(message: str) -> None:
    """Raises: the caller gets the very exception."""
    raise ValueError(message)
