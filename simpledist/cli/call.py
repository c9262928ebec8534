"""`simpledist call NAME [ARGS...]`: one call from the shell, on a worker or not at all."""

from __future__ import annotations

import json
from typing import Any

import click

from simpledist.cli.options import OK, WRONG, complain, shared
from simpledist.client.client import connect
from simpledist.client.function import worker_function
from simpledist.config import Config
from simpledist.job import Why

REASONS: dict[Why, str] = {
    "no_worker": "no live worker offers it",
    "redis_down": "Redis cannot be reached",
    "redis_refused": "Redis refuses us",
    "crashed": "its process died each time that it was tried",
    "lost": "the workers that ran it vanished",
    "worker_error": "the worker could not run it: see the worker's log",
    "unserialisable": "its arguments or its result cannot travel",
    "undecodable": "its arguments or its result cannot be read at the other end",
    "too_big": "its arguments or its result are too big to travel",
    "timeout": "it took longer than --timeout",
    "nested": "this is a worker's child, where calls are not passed on",
    "called_off": "an operator called it off (simpledist cancel)",
    "cheaper": "its trip would have cost more than to run it here",
    "local": "its function's policy keeps it local",
    "key": "the worker has another key: give both the same --secret-file",
}


class RanHere(Exception):
    """The call came back to be run here, which this command never does."""


def refuse(*args: Any, **kwargs: Any) -> Any:
    """The local function: says that there is none."""
    raise RanHere


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="How long to wait for it.")
@shared(log_level="error")
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
    function, _, version = name.partition("@")
    with connect(
        config.url, namespace=config.namespace, secret_file=config.secret_file, insecure=config.insecure
    ) as client:
        remote = worker_function(client, function, refuse, version=version or None, timeout=timeout)
        future = remote.submit(*map(_argument, arguments))
        try:
            error = future.exception()
        except BaseException:
            future.cancel()
            raise
        if error is None:
            click.echo(_shown(future.result()))
            return OK
        info = future.info
        if isinstance(error, RanHere):
            why = info.why if info is not None else None
            complain("simpledist call", f"{name}: {REASONS.get(why, why) if why else 'it did not run'}")
        else:
            text = str(error)
            complain("simpledist call", f"{name} raised {type(error).__name__}{': ' if text else ''}{text}")
        return WRONG


def _argument(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
