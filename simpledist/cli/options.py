"""Options, log lines and exit codes of all commands; an error becomes one line.

Called by each command's module. `common_options` passes a Config before the command's own arguments; each entry point
calls `run`. Knows nothing of what the commands do.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from simpledist import __version__, config, platforms
from simpledist.cli import logs, streams
from simpledist.config import url_options
from simpledist.errors import ConfigurationError, OperatorError, RedisRefused, SimpledistError
from simpledist.job import DEFAULT_NAMESPACE
from simpledist.printable import printable

OK = 0
WRONG = 1  # what the command asked about is wrong
USAGE = 2  # usage, target, configuration, port taken, Redis refuses us
INTERRUPTED = 130

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

Command = Callable[..., Any]

UNIT_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MOST_BYTES = 2**60
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Seconds(click.FloatRange):
    """A finite number of seconds; click accepts "nan" in every range."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse infinity and "nan"."""
        try:
            finite = math.isfinite(float(value))
        except (TypeError, ValueError):
            finite = False
        if not finite:
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return super().convert(value, param, ctx)


class Size(click.types.StringParamType):
    """A number of bytes, with a unit or without: 500M, 2G, 1.5G."""

    name = "size"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Multiply by the unit, if there is one."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", value, re.IGNORECASE)
        if match is None:
            self.fail(f"{value!r} is no size: use 500M, 2G or 1.5G.", param, ctx)
        size = round(float(match[1]) * UNIT_BYTES[match[2].upper()])
        if not self._least <= size <= MOST_BYTES:
            self.fail(f"{value!r}: use at least {self._least // 2**20}M.", param, ctx)
        return size


class Duration(Seconds):
    """A number of seconds, or of minutes, hours, days: 90, 90s, 55m, 2h, 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Multiply by the unit, if there is one."""
        if isinstance(value, str) and value[-1:] in UNIT_SECONDS:
            with contextlib.suppress(ValueError):
                value = float(value[:-1]) * UNIT_SECONDS[value[-1]]
        return super().convert(value, param, ctx)


def shared(
    *,
    connects: bool | str = True,
    log_level: str = "info",
    needs_key_file: bool = True,
    signs: bool = False,
    log_format: bool = False,
) -> Callable[[Command], Command]:
    """Return a decorator that gives a click callback the options of every command.

    With `needs_key_file` a secret file that is named must exist; the doctor reports that itself. With `signs` the
    command makes or runs calls: where Redis is on another machine it needs a key. With `connects` the
    callback's first argument is the Config made from the options. Without it nothing is checked or passed: a command
    that needs no Redis must not fail because there is no key. `connects` may
    name an option: without it the command needs no Redis, and gets None. With `log_format` there is --log-format, for
    processes that run for long.
    """

    def decorate(callback: Command) -> Command:
        @functools.wraps(callback)
        def with_config(
            *args: Any,
            redis_url: str | None,
            namespace: str | None,
            secret_file: str | None,
            insecure: bool,
            log_level: str,
            log_lines: str = logs.FORMATS[0],
            **named: Any,
        ) -> Any:
            logs.start(log_level, log_lines)
            platforms.demand()
            if not connects:
                return callback(*args, **named)
            if isinstance(connects, str) and not named[connects]:
                return callback(None, *args, **named)
            settings = config.load(
                redis_url, namespace=namespace, secret_file=secret_file, insecure=insecure, signs=signs
            )
            if needs_key_file:
                _check_certificates(settings)
            if needs_key_file and settings.secret_file and not os.path.exists(settings.secret_file):
                raise ConfigurationError(
                    f"secret file {settings.secret_file} is not there: make one with "
                    f"`simpledist secret {settings.secret_file}`, or correct --secret-file (SIMPLEDIST_SECRET_FILE)"
                )
            return callback(settings, *args, **named)

        command: Command = with_config
        for option in reversed([*_options(bool(connects), log_level), *([LOG_FORMAT] if log_format else [])]):
            command = option(command)
        return command

    return decorate


LOG_FORMAT = click.option(
    "--log-format",
    "log_lines",
    type=click.Choice(logs.FORMATS),
    default=logs.FORMATS[0],
    show_default=True,
    help="How log lines are written: for people, or one JSON object each.",
)
common_options = shared()


def _check_certificates(settings: config.Config) -> None:
    """Raise ConfigurationError where the URL names a certificate or key that is not there."""
    try:
        url_options.check_files(settings.url.partition("?")[2])
    except ConfigurationError as error:
        raise ConfigurationError(f"Redis URL {settings.safe_url!r}: {error}") from None


def before_subcommand(callback: Callable[[], None]) -> Command:
    """Give a click group the same options, as defaults of the subcommand that follows."""

    @functools.wraps(callback)
    def pass_on(**given: Any) -> None:
        context = click.get_current_context()
        chosen = {name: value for name, value in given.items() if value}
        context.default_map = {context.invoked_subcommand or "": chosen}
        callback()

    command: Command = pass_on
    for option in reversed(_options(True, None)):
        command = option(command)
    return command


def _options(connects: bool, log_level: str | None) -> list[Callable[[Command], Command]]:
    hidden = not connects
    return [
        click.option(
            "--redis",
            "redis_url",
            metavar="URL",
            hidden=hidden,
            help="Where Redis is: redis://, rediss://, unix://, or through its Sentinels "
            "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE. Else $SIMPLEDIST_REDIS_URL, "
            f"else {config.DEFAULT_URL}.",
        ),
        click.option(
            "--namespace",
            metavar="NAME",
            hidden=hidden,
            help="The first part of all keys; clients and workers of one namespace see each other. "
            f"Else $SIMPLEDIST_NAMESPACE, else {DEFAULT_NAMESPACE}.",
        ),
        click.option(
            "--secret-file",
            metavar="FILE",
            hidden=hidden,
            help="The key that signs calls and results; needed if Redis is on another machine. Else "
            "$SIMPLEDIST_SECRET_FILE, else your own key on this machine, ~/.config/simpledist/key, which is made at "
            "first need. Make one with `simpledist secret FILE`.",
        ),
        click.option(
            "--insecure",
            is_flag=True,
            hidden=hidden,
            help="Sign nothing and believe everything: who can write to Redis can run code here.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(LOG_LEVELS, case_sensitive=False),
            default=log_level,
            show_default=log_level is not None,
            help="The least severe messages to write to stderr.",
        ),
        click.version_option(__version__, message="%(prog)s %(version)s"),
        click.help_option("--help", "-h"),
    ]


def complain(program: str, text: object) -> None:
    """Write one line to stderr, whatever the error's text looks like; ignore a stderr that cannot be written."""
    with contextlib.suppress(OSError):
        click.echo(f"{program}: {printable(' '.join(str(text).split()), None)}", err=True)


def run(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: with the code that its callback returns (None is 0), or with that of its error.

    1: Redis is away or the cluster is wrong. 2: usage, target, configuration, or Redis refuses us. 130: Ctrl-C.
    """
    streams.put_in_order()
    try:
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name=program, standalone_mode=False
        )
        code = result if isinstance(result, int) else OK
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = USAGE
    except click.ClickException as error:
        complain(program, f"{error.format_message()} (see {_path(error, program)} --help)")
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except SimpledistError as error:
        complain(program, error)
        code = WRONG if isinstance(error, OperatorError) and not isinstance(error, RedisRefused) else USAGE
    except OSError as error:  # a full disk or a closed pipe
        streams.give_up_output()
        what = error.filename or "its output"
        complain(program, f"cannot write {what}: {error.strerror or error}")
        code = WRONG
    sys.exit(code)


def _path(error: click.ClickException, program: str) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context is not None else program
