"""`simpledist call NAME [ARGS...]`: one call from the shell, on a worker or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import click

from simpledist.cli.options import OK, USAGE, WRONG, Seconds, complain, shared
from simpledist.cli.reading import refusal_of
from simpledist.client.client import connect
from simpledist.client.function import worker_function
from simpledist.config import Config
from simpledist.config.arguments import MOST_SECONDS
from simpledist.errors import ConfigurationError, RedisDown, RedisRefused
from simpledist.reasons import sentence


class RanHere(Exception):
    """The call came back to be run here, which this command never does."""


def refuse(*args: Any, **kwargs: Any) -> Any:
    """The local function: says that there is none."""
    raise RanHere


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--timeout",
    type=Seconds(0, MOST_SECONDS, min_open=True),
    metavar="SECONDS",
    help="How long it may take, the wait for a free worker included.",
)
@shared(log_level="critical")
def call(config: Config, name: str, arguments: tuple[str, ...], timeout: float | None) -> int:
    """Call the function NAME on a worker and print what it returns.

    NAME may carry a version (fib@3). Each argument is read as JSON; what is not JSON is a plain string. The result is
    printed as JSON, or by repr where JSON has no form for it. The function never runs here: without a worker for it, or
    if it raises, there is one line on stderr and the exit code is 1.

    \b
    Examples:
        simpledist call fib 20
        simpledist call args 1 '"1"' '[1, 2]' word
    """
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # a number of any length may be an argument or a result
    function, _, version = name.partition("@")
    values = [_argument(text) for text in arguments]
    with connect(
        config.url, namespace=config.namespace, secret_file=config.secret_file, insecure=config.insecure
    ) as client:
        remote = worker_function(client, function, refuse, version=version or None, timeout=timeout)
        future = remote.submit(*values)
        try:
            error = future.exception()
        except BaseException:
            future.cancel()
            raise
        if error is None:
            click.echo(_shown(future.result()))
            return OK
        info = future.info
        if not isinstance(error, RanHere):
            text = _text(error)
            complain("simpledist call", f"{name} raised {type(error).__name__}{': ' if text else ''}{text}")
            return WRONG
        why = info.why if info is not None else None
        if why in ("redis_down", "redis_refused"):
            trouble = refusal_of(config, client.last_error or RedisDown("it has not answered within a second"))
            complain("simpledist call", f"{name}: {trouble}")
            return USAGE if isinstance(trouble, RedisRefused) else WRONG
        complain("simpledist call", f"{name}: {sentence(why).replace('timeout=', '--timeout')}")
        return WRONG


def _argument(text: str) -> Any:
    """Return an argument as JSON gives it, else as the string that it is; one nested too deeply is refused."""
    with contextlib.suppress(UnicodeError):
        text = os.fsencode(text).decode()  # where the locale is C, Python takes what is not ASCII for raw bytes
    try:
        return json.loads(text, parse_constant=_no_json)
    except ValueError:
        return text
    except RecursionError:
        raise ConfigurationError(f"an argument is nested too deeply to be read as JSON: {text[:40]}...") from None


def _text(error: BaseException) -> str:
    """Return the text of an exception, whatever its class makes of it."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"


def _no_json(word: str) -> Any:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(word)


def _shown(value: Any) -> str:
    """Return a value as JSON, else as its repr, else say of which type it is."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - whatever a class of the user's does in its __repr__
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
