"""The function of `simpledist demo`, inside the package, so that the demo runs wherever it is installed.

demo/fns.py has more functions, to be copied.
"""

from __future__ import annotations

__all__ = ["fib"]


def fib(n: int) -> int:
    """Return the n-th Fibonacci number, the slow way."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)
