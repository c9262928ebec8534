"""The connection of commands that change the cluster: the verbs, to the primary, with errors that people understand.

Called by the commands for operators. A user of Redis needs the rights of a client for them (docs/acl.md).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import click

from simpledist import job
from simpledist.broker import Broker, Keys, Link
from simpledist.broker.rows import read_workers
from simpledist.cli.options import OK, WRONG, complain
from simpledist.cli.reading import demand_primary, meant, refusal_of
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.monitor import WorkerState
from simpledist.monitor.rows import decoded, pairs, printable, worker_state

FUNCTIONS_MOST = 2000


@contextmanager
def broker_of(config: Config, program: str) -> Generator[Broker]:
    """Give the verbs of the Redis that the options name, for one command. Raises RedisDown and RedisRefused."""
    link = Link(config.url, name=program.replace(" ", "-"))
    try:
        link.connect()
        demand_primary(link)
        yield Broker(link, Keys(config.namespace))
    except (RedisDown, RedisRefused) as error:
        raise refusal_of(config, error) from None
    finally:
        link.close()


def ask_redis(config: Config, program: str) -> None:
    """Say it once here where Redis is away, and not once for each worker that is started. Raises RedisRefused."""
    try:
        with broker_of(config, program):
            pass
    except RedisDown as error:
        complain(program, f"{error}; the workers wait for it")


def workers_of(broker: Broker) -> list[WorkerState]:
    """Return all workers that Redis knows. A client's user may not read all that the monitor reads."""
    clock, rows, beats = read_workers(broker)
    now, beat_of = int(clock[0]) + int(clock[1]) / 1e6, dict(pairs(beats))
    return [worker_state(id, row, beat_of.get(id), None, now, busy=0, exact=True) for id, row in pairs(rows)]


def demand_names(names: tuple[str, ...]) -> None:
    """Raise ConfigurationError for what cannot be the name of a function."""
    for name in names:
        function, at, version = name.partition("@")
        job.qualified(function, version if at else None)


def for_each(config: Config, program: str, names: tuple[str, ...], act: Callable[[Broker, str], str | None]) -> int:
    """Do something with each function, and print the line that it gives; None: no such function is known.

    Returns the exit code: 1 if a function is not known. Raises ConfigurationError for what cannot be a name.
    """
    demand_names(names)
    fine = True
    with broker_of(config, program) as broker:
        for name in dict.fromkeys(names):
            line = act(broker, name)
            if line is None:
                complain(program, no_function(broker, name))
                fine = False
            else:
                click.echo(line)
    return OK if fine else WRONG


def no_function(broker: Broker, name: str) -> str:
    """Return a line for the name of a function that Redis does not know, with the one that may be meant."""
    known = {printable(decoded(one)) for one in broker.link.call("ZRANGE", broker.keys.active, 0, FUNCTIONS_MOST - 1)}
    return meant(name, known - {name}) or f"no function {name[:40]!r} is known (simpledist status lists them)"
