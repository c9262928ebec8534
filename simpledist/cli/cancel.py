"""`simpledist cancel ID...`: takes jobs off the cluster; a caller that waits for one runs it itself."""

from __future__ import annotations

import click

from simpledist.broker import Keys, Link
from simpledist.cli.operating import broker_of
from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.config import Config
from simpledist.printable import printable

REFUSALS = {
    "ended": "it has ended already",
    "gone": "no such job is queued or running (simpledist jobs lists them)",
}


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@common_options
def cancel(config: Config, ids: tuple[str, ...]) -> int:
    """Take the jobs ID off the cluster: a queued job is removed, the child of a running one is stopped within a second.

    No caller loses its call: a caller that waits for such a job runs it in its own process, and future.info.why says
    called_off. Only the caller can give its call up (future.cancel()). The exit code is 1 if a job had ended or is not
    known. Write -- before ids that come from another program.

    \b
    Examples:
        simpledist cancel 6f1c0d9be2a34785-17
        simpledist jobs --function fib --state queued | tail -n +2 | cut -f1 | xargs simpledist cancel --
    """
    words = dict.fromkeys(ids, "gone")
    with broker_of(config, "simpledist cancel") as broker:
        jobs = [(function, id) for id in words if (function := _function(broker.link, broker.keys, id))]
        for first in range(0, len(jobs), 1000):
            batch = jobs[first : first + 1000]
            words.update(zip((id for _, id in batch), broker.cancel(None, batch), strict=True))
    for id, word in words.items():
        if word in REFUSALS:
            complain("simpledist cancel", f"{id}: {REFUSALS[word]}")
        else:
            click.echo(f"{printable(id)} is called off")
    return WRONG if any(word in REFUSALS for word in words.values()) else OK


def _function(link: Link, keys: Keys, id: str) -> str | None:
    """Return the lane of a job that Redis knows."""
    lane = link.call("HGET", keys.named("job", id), "lane")
    return None if lane is None else lane.decode("utf-8", "replace")
