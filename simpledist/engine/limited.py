"""A function with a hard timeout, as it runs at its client: in a throw-away child, which is killed after that time.

Owns what such a function demands of its calls: all of them can be pickled. Held by the function's spec.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from simpledist.errors import ConfigurationError, Unserialisable
from simpledist.wire import serializers


class Limited:
    """Called like `local`; raises JobTimeout after so many seconds, and FunctionCrashed where the child dies."""

    def __init__(self, function: str, local: Callable[..., Any], seconds: float) -> None:
        self._function = function
        self._local = local
        self._seconds = seconds
        self._travels = False  # known to

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        throwaway = import_module("simpledist.engine.throwaway")
        return throwaway.run(self._function, self._local, args, kwargs, why="local", hard_seconds=self._seconds)

    def demand_function(self) -> None:
        """Raise ConfigurationError unless the function can be sent to another process."""
        if not self._travels:
            self._demand(self._local, "a function")
            self._travels = True

    def demand_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise ConfigurationError unless these arguments can."""
        self._demand((args, kwargs), "arguments")

    def _demand(self, value: Any, what: str) -> None:
        try:
            serializers.dumps("pickle", value)
        except Unserialisable as error:
            raise ConfigurationError(
                f"{self._function}: hard_timeout= needs {what} that can be pickled: each call runs in a process of its "
                f"own; {error}"
            ) from None
