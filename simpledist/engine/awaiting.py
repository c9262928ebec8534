"""`await future`, in an asyncio loop: the outcome as a coroutine would have it.

Not `asyncio.wrap_future`: asyncio's own futures refuse StopIteration, and the task would wait for ever. As there,
cancelling the task that awaits cancels the call. Loaded when the first future is awaited.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from typing import Any, Protocol, TypeVar

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Awaited(Protocol[R_co]):
    """What is asked of a future."""

    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def cancel(self) -> bool: ...
    def finished_result(self) -> R_co: ...
    def add_done_callback(self, fn: Callable[[Any], object]) -> None: ...


def awaited(future: Awaited[R]) -> Generator[Any, None, R]:
    """Wait in the running loop, without a thread. Raises RuntimeError where there is none."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(_instead()) from None
    if not future.done():
        arrived: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not arrived.done():
                arrived.set_result(None)

        def tell(_: object) -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:
                return  # the loop was closed: no task awaits it any more

        future.add_done_callback(tell)
        try:
            yield from arrived
        except asyncio.CancelledError:
            future.cancel()
            raise
    try:
        return future.finished_result()
    except CancelledError:
        if not future.cancelled():  # the function's own
            raise
        raise asyncio.CancelledError from None
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error
    finally:
        del future  # the traceback would keep it, and it the exception


def _instead() -> str:
    for library, how in (("trio", "trio.to_thread.run_sync"), ("curio", "curio.run_in_thread")):
        if library in sys.modules:
            return f"await future: no asyncio loop runs here; under {library} use `await {how}(future.result)`"
    return "await future: no asyncio loop runs here; use `future.result()`, in a thread if need be"
