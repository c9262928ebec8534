"""What may be written for an option: refused where it is written, in one line that names it, or used as it is meant."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.errors import ConfigurationError


def same(value: Any = 0, **_: Any) -> Any:
    return value


@pytest.fixture
def client() -> simpledist.Client:
    return simpledist.connect("memory://")


HUGE = 10**400
NO_SECONDS: tuple[Any, ...] = (0, -1, math.nan, math.inf, -math.inf, 1e10, 1e300, HUGE, True, "5", [], Decimal(5), 1j)
NO_COUNT: tuple[Any, ...] = (-1, 1.5, math.nan, math.inf, HUGE, 2**70, True, "5", [], 1j)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("timeout", value) for value in NO_SECONDS),
        *(("cache", value) for value in NO_SECONDS),
        *(("max_queue", value) for value in NO_COUNT),
        *(("join", value) for value in ("no", 1, None)),
        *(("codec", value) for value in ("xml", 1, ["json"])),
        *(("policy", value) for value in ("here", None, 1, ["auto"])),
        *(("version", value) for value in (True, 1.5, "", "a b", b"1")),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_option_that_cannot_be_used_is_refused_at_once(client: simpledist.Client, option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        simpledist.worker_function(client, "same", same, **{option: value})
    text = str(raised.value)
    assert option in text
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("timeout", value) for value in (1e-9, 0.5, 5, 1e9, Fraction(1, 2), None)),
        *(("cache", value) for value in (1e-3, 5, 2_000_000, None)),
        *(("max_queue", value) for value in (0, 5, 2**40, 2**53, None)),
        *(("version", value) for value in (3, "3", "a.b", 2**64, None)),
    ],
    ids=str,
)
def test_an_option_that_can_be_used_works(client: simpledist.Client, option: str, value: Any) -> None:
    function = simpledist.worker_function(client, "same", same, **{option: value})
    assert function(7) == 7
    assert function.submit(8).result(10) == 8


@pytest.mark.parametrize("name", [5, None, b"fib", "", "a b", "a@b", "x" * 200, "{x}", "\n"])
def test_a_name_that_cannot_be_used_is_refused(client: simpledist.Client, name: Any) -> None:
    with pytest.raises(ConfigurationError, match="function name"):
        simpledist.worker_function(client, name, same)


@pytest.mark.parametrize("no_client", ["redis://localhost", None, same], ids=["url", "none", "function"])
def test_what_is_no_client_is_refused_where_it_is_given(no_client: Any) -> None:
    for use in (lambda: simpledist.worker_function(no_client, "same", same), lambda: simpledist.function(no_client)):
        with pytest.raises(ConfigurationError, match=r"is no client: write client = simpledist\.connect\(\)"):
            use()


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "many", None, math.inf])
def test_a_chunksize_that_cannot_be_used_is_a_value_error(client: simpledist.Client, size: Any) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        simpledist.worker_function(client, "same", same).map([1], chunksize=size)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("url", 5),
        ("url", b"redis://localhost"),
        ("namespace", 5),
        ("secret_file", 5),
        ("insecure", "no"),
        ("insecure", 1),
        ("codec", ["json"]),
        ("local_slots", 0),
        ("local_slots", True),
        ("local_slots", 1.5),
        ("local_slots", None),
        ("max_value_bytes", -1),
        ("max_value_bytes", "10 MB"),
        ("max_value_bytes", math.inf),
    ],
    ids=str,
)
def test_an_option_of_connect_is_refused_at_once(option: str, value: Any) -> None:
    options: dict[str, Any] = {"url": "memory://", option: value}
    with pytest.raises(ConfigurationError, match=option):
        simpledist.connect(**options)


def test_a_secret_file_may_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        simpledist.connect("memory://", secret_file=tmp_path / "missing")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [1e9, 1e10, 1e300, math.inf, HUGE])
def test_a_result_may_be_waited_for_as_long_as_one_likes(client: simpledist.Client, seconds: float) -> None:
    future = simpledist.worker_function(client, "same", same).submit(3)
    assert future.result(seconds) == 3
    assert future.exception(seconds) is None
