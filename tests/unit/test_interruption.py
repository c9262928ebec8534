"""A signal of the user gets through while a value is decoded; what the value raises by itself does not."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from simpledist.errors import Undecodable
from simpledist.interruption import by_signal
from simpledist.wire import serializers


def _call(function: Callable[[], Any]) -> Any:
    return function()


class Loading:
    """Calls this where it is decoded."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def __reduce__(self) -> tuple[Any, ...]:
        return _call, (self.function,)


def interrupted() -> None:
    signal.raise_signal(signal.SIGINT)


def terminated() -> None:
    signal.raise_signal(signal.SIGTERM)


def interrupts() -> None:
    raise KeyboardInterrupt


def leaves() -> None:
    raise SystemExit(3)


def closes() -> None:
    raise GeneratorExit


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before:
        signal.signal(number, handler)


def load(function: Callable[[], Any]) -> Any:
    return serializers.loads("pickle", serializers.dumps("pickle", Loading(function)))


@pytest.mark.parametrize("function", [interrupts, leaves, closes])
def test_what_a_value_raises_by_itself_means_undecodable(function: Callable[[], None]) -> None:
    with pytest.raises(Undecodable):
        load(function)


def test_ctrl_c_gets_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        load(interrupted)


class Leaving:
    def __call__(self, number: int, frame: object) -> None:
        raise SystemExit(number)

    def leave(self, number: int, frame: object) -> None:
        self(number, frame)


class Late(TimeoutError):
    """What a handler of SIGALRM raises in many programs: an Exception, and an OSError."""


def too_late(number: int, frame: object) -> None:
    raise Late


class Dumping:
    """Calls this where it is encoded."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def __reduce__(self) -> tuple[Any, ...]:
        self.function()
        return int, ()


def test_the_timeout_of_a_signal_handler_gets_through() -> None:
    signal.signal(signal.SIGTERM, too_late)
    with pytest.raises(Late):
        load(terminated)
    with pytest.raises(Late):
        serializers.dumps("pickle", Dumping(terminated))
    with pytest.raises(Late):
        serializers.dumps("pickle", [Dumping(terminated)] * 100)


def test_the_timeout_of_a_handler_that_strikes_in_an_import_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import takes the frames of importlib, which the handler interrupts, out of the traceback."""
    signal.signal(signal.SIGTERM, too_late)
    monkeypatch.setattr(sys, "meta_path", map(signal.raise_signal, [signal.SIGTERM]))
    with pytest.raises(Late) as shown:
        import_module("a_module_that_is_nowhere")
    assert by_signal(shown.value)


@pytest.mark.parametrize("handler", [Leaving(), Leaving().leave, functools.partial(Leaving().leave)])
def test_the_exit_of_a_signal_handler_gets_through(handler: Callable[[int, object], None]) -> None:
    signal.signal(signal.SIGTERM, handler)
    with pytest.raises(SystemExit):
        load(terminated)
