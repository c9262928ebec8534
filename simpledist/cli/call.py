"""`simpledist call NAME [ARGS...]`: makes one call from the shell, on a worker or not at all."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import sys
from typing import Any

import click

from simpledist import policy
from simpledist.broker import Broker, Keys, Link
from simpledist.broker.rows import live_workers
from simpledist.cli.options import OK, USAGE, WRONG, Seconds, complain, shared
from simpledist.cli.reading import meant, refusal_of
from simpledist.client.client import connect
from simpledist.client.options import worker_function
from simpledist.config import Config
from simpledist.errors import ConfigurationError, RedisDown, RedisRefused
from simpledist.printable import printable
from simpledist.reasons import sentence

KEYWORD = re.compile(r"([^\W\d]\w*)=(?!=)")


class RanHere(Exception):
    """The call came back to run in this process, which this command never does."""


def refuse(*args: Any, **kwargs: Any) -> Any:
    """Take the place of the local function, which does not exist."""
    raise RanHere


class Call(click.Command):
    """A command whose arguments may begin with a dash (-5), but not look like an option that it does not have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a mistyped option instead of passing it to the function."""
        options = [word for parameter in self.get_params(ctx) for word in parameter.opts if word.startswith("--")]
        before = args[: args.index("--")] if "--" in args else args
        for word in before:
            name = word.partition("=")[0]
            if word.startswith("--") and name not in options:
                raise click.NoSuchOption(name, possibilities=difflib.get_close_matches(name, options), ctx=ctx)
        return super().parse_args(ctx, args)


@click.command(cls=Call, context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--timeout",
    type=Seconds(0, policy.LONGEST_SECONDS, min_open=True),
    metavar="SECONDS",
    help="How long it may take, the wait for a free worker included.",
)
@shared(log_level="critical", signs=True)
def call(config: Config, name: str, arguments: tuple[str, ...], timeout: float | None) -> int:
    """Call the function NAME on a worker and print what it returns.

    NAME may carry a version (fib@3). Each argument is read as JSON; what is not JSON is a plain string. key=value
    passes a keyword argument; write '"a=b"' for a string that looks like one, and -- before one that begins with two
    dashes. The result is printed as JSON, or by repr where JSON has no form for it. The function never runs in this
    process: without a worker for it, or if it raises, there is one line on stderr and the exit code is 1.

    \b
    Examples:
        simpledist call fib 20
        simpledist call pi 1 throws=1000
        simpledist call args 1 '"1"' '[1, 2]' word
    """
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # a number of any length may be an argument or a result
    function, _, version = name.partition("@")
    values, named = _arguments(arguments)
    with connect(
        config.url, namespace=config.namespace, secret_file=config.secret_file, insecure=config.insecure
    ) as client:
        remote = worker_function(client, function, refuse, version=version or None, timeout=timeout, ship=False)
        future = remote.submit(*values, **named)
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
        text = f"{name}: {sentence(why).replace('timeout=', '--timeout')}"
        complain("simpledist call", "; ".join(filter(None, (text, _meant(config, name) if why == "no_worker" else ""))))
        return WRONG


def _meant(config: Config, name: str) -> str:
    """Return a question where a worker offers a function whose name is close to a mistyped one."""
    link = Link(config.url, name="simpledist-call")
    try:
        link.connect()
        # Not through the monitor: the user of a client in docs/acl.md may not read all that it reads.
        workers = live_workers(Broker(link, Keys(config.namespace)))
        offered = {printable(function) for worker in workers for function in worker.get("functions") or ()}
    except Exception:  # noqa: BLE001 - a hint is worth no error, whatever the rows hold
        return ""
    finally:
        link.close()
    return meant(name, offered - {name, ""})


def _arguments(texts: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the keyword arguments."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for text in texts:
        keyword = KEYWORD.match(text)
        if keyword is None:
            if named:
                raise ConfigurationError(f"{text[:40]!r} comes after {next(iter(named))}=: write key=value last")
            positional.append(_argument(text))
        elif keyword[1] in named:
            raise ConfigurationError(f"{keyword[1]}= is given twice")
        else:
            named[keyword[1]] = _argument(text[keyword.end() :])
    return positional, named


def _argument(text: str) -> Any:
    """Return an argument as JSON reads it, else as a string; refuse one that is nested too deeply."""
    with contextlib.suppress(UnicodeError):
        text = os.fsencode(text).decode()  # under the C locale, Python reads what is not ASCII as raw bytes
    try:
        return json.loads(text, parse_constant=_no_json)
    except ValueError:
        return text
    except RecursionError:
        raise ConfigurationError(f"an argument is nested too deeply to be read as JSON: {text[:40]}...") from None


def _text(error: BaseException) -> str:
    """Return the text of an exception, even where its class cannot tell it."""
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
        return printable(repr(value), None)
    except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
