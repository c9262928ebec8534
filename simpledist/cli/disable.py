"""`simpledist disable NAME...`: calls of functions run at their callers from now on."""

from __future__ import annotations

import click

from simpledist.broker import Broker
from simpledist.cli.operating import for_each
from simpledist.cli.options import common_options
from simpledist.config import Config
from simpledist.monitor.times import plural

PROGRAM = "simpledist disable"


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@common_options
def disable(config: Config, names: tuple[str, ...]) -> int:
    """Disable the functions NAME (fib, or fib@3): their calls run at their callers, with `disabled` as future.info.why.

    Queued jobs go to their callers at once, running ones go on, and cached values still answer. It lasts until
    `simpledist enable`, also without any worker. Each version is a function of its own. No call is lost. The exit code
    is 1 if a function is not known.

    \b
    Example:
        simpledist disable fib
    """
    return for_each(config, PROGRAM, names, _disable)


def _disable(broker: Broker, name: str) -> str | None:
    word, sent = broker.disable(name)
    return None if word == "unknown" else f"{name} is disabled; {plural(sent, 'queued job')} went to their callers"
