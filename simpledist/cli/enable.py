"""`simpledist enable NAME...`: takes back what `simpledist disable` did."""

from __future__ import annotations

import click

from simpledist.broker import Broker
from simpledist.cli.operating import for_each
from simpledist.cli.options import common_options
from simpledist.config import Config

PROGRAM = "simpledist enable"


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@common_options
def enable(config: Config, names: tuple[str, ...]) -> int:
    """Enable the functions NAME (fib, or fib@3), which were disabled: workers run their calls again in seconds.

    The exit code is 1 if a function is not known.

    \b
    Example:
        simpledist enable fib
    """
    return for_each(config, PROGRAM, names, _enable)


def _enable(broker: Broker, name: str) -> str | None:
    word, _ = broker.disable(name, enable=True)
    return None if word == "unknown" else f"{name} is enabled"
