"""`simpledist forget NAME...`: removes functions that are not in use from Redis, and so from every list and page."""

from __future__ import annotations

import click

from simpledist.broker import Broker
from simpledist.cli.operating import broker_of, demand_names, no_function, workers_of
from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.config import Config

PROGRAM = "simpledist forget"


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@common_options
def forget(config: Config, names: tuple[str, ...]) -> int:
    """Forget the functions NAME (fib, or fib@3): a mistyped name, a version that is not used any more.

    Their counters, charts, past attempts, errors and cached values go. Each version is a function of its own. Where a
    worker offers one, it is disabled, or jobs of it are queued or running, it is not forgotten, and the exit code is
    1; a dead worker offers nothing. A client that calls a forgotten name makes it known again.

    \b
    Examples:
        simpledist forget fibb
        simpledist forget fib@1 fib@2
    """
    demand_names(names)
    words: dict[str, str] = {}
    with broker_of(config, PROGRAM) as broker:
        # Their offers stand until a client or a distributor expels them.
        broker.reap(workers=[(one.id, "") for one in workers_of(broker) if one.health == "silent"])
        for name in dict.fromkeys(names):
            words[name] = broker.forget(name)
            if words[name] == "forgotten":
                click.echo(f"{name} is forgotten")
            else:
                complain(PROGRAM, _refusal(broker, name, words[name]))
    return OK if {*words.values()} == {"forgotten"} else WRONG


def _refusal(broker: Broker, name: str, word: str) -> str:
    if word == "busy":
        return f"{name}: jobs of it are queued or running (simpledist jobs --function {name})"
    if word == "offered":
        return f"{name}: a worker offers it (simpledist workers --function {name})"
    if word == "disabled":
        return f"{name}: it is disabled, and would not be any more: first simpledist enable {name}"
    return no_function(broker, name)
