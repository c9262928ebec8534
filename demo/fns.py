"""Functions that are slow enough for a cluster; `simpledist-worker fns` offers them.

Each is pure: safe to run zero, one or several times, here or elsewhere. `fib`, `args` and `throw` are those of the
original simple-dist of 2010.
"""

from __future__ import annotations

import random
from typing import Any

__all__ = ["args", "fib", "mandelbrot", "pi", "primes", "throw"]


def fib(n: int) -> int:
    """Return the n-th Fibonacci number, the slow way: fib(30) takes some tenths of a second."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def args(*positional: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments."""
    return positional, named


def throw(message: str = "thrown") -> None:
    """Raise ValueError: the caller gets the same exception."""
    raise ValueError(message)


def mandelbrot(left: float, top: float, size: float, pixels: int = 64, depth: int = 200) -> list[list[int]]:
    """Return a square tile of the Mandelbrot set: for each pixel the step at which its point escapes."""
    step = size / pixels
    return [[_escape(complex(left + x * step, top - y * step), depth) for x in range(pixels)] for y in range(pixels)]


def _escape(point: complex, depth: int) -> int:
    z = 0j
    for i in range(depth):
        if abs(z) > 2.0:
            return i
        z = z * z + point
    return depth


def pi(seed: int, throws: int = 200_000) -> int:
    """Return how many of `throws` random darts hit the quarter circle; 4 * hits / throws tends to pi.

    The seed makes it pure: the same call gives the same number on every machine.
    """
    darts = random.Random(seed)
    return sum(darts.random() ** 2 + darts.random() ** 2 <= 1.0 for _ in range(throws))


def primes(start: int, stop: int) -> int:
    """Return how many primes there are in [start, stop)."""
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
