"""`simpledist drain WORKER...`: workers finish their jobs and end, wherever they run."""

from __future__ import annotations

import time

import click

from simpledist.broker import Broker
from simpledist.broker.rows import rows_of
from simpledist.cli.operating import broker_of, workers_of
from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.cli.reading import meant, named
from simpledist.config import Config
from simpledist.monitor import WorkerState

PROGRAM = "simpledist drain"
LOOK_SECONDS = 0.2
ASK_AGAIN_SECONDS = 2.0  # a word may be lost on the wire


@click.command()
@click.argument("workers", metavar="[WORKER]...", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All live workers.")
@click.option("--host", metavar="HOST", help="All live workers on this machine, by the name that it has itself.")
@click.option("--wait", "waits", is_flag=True, help="Return when all of them have left.")
@common_options
def drain(config: Config, workers: tuple[str, ...], everyone: bool, host: str | None, waits: bool) -> int:
    """Have workers drain: as Ctrl-C does, but from any machine.

    A WORKER is the id of one, or a label: then all workers with it drain. Each withdraws its offers at once, finishes
    the jobs that it runs (within its --grace, then they go back to their queues), and ends with 0. No call is lost.
    What starts ended workers again (systemd's Restart=always, Kubernetes) will start this one again too.

    The exit code is 1 if a worker is not known or does not live any more, and, with --wait, if one died before it left.

    \b
    Examples:
        simpledist drain w3f5a9c0d1e2b
        simpledist drain --host alder --wait && ssh alder sudo reboot
        simpledist drain --all
    """
    if (bool(workers) + everyone + (host is not None)) != 1:
        raise click.UsageError("Name workers, or give --all or --host HOST.")
    with broker_of(config, PROGRAM) as broker:
        chosen, unknown = _chosen(workers_of(broker), workers, host)
        for line in unknown:
            complain(PROGRAM, line)
        words = broker.drain([one.id for one in chosen])
        drained = [one for one, word in zip(chosen, words, strict=True) if word in ("asked", "draining")]
        for one in drained:
            click.echo(f"worker {named(one)} drains")
        fine = not unknown and len(drained) == len(chosen)
        for one, word in zip(chosen, words, strict=True):
            if word in ("dead", "gone"):
                complain(PROGRAM, f"worker {named(one)} has gone meanwhile")
        if waits:
            fine = _wait(broker, {one.id: one for one in drained}) and fine
    return OK if fine else WRONG


def _chosen(known: list[WorkerState], words: tuple[str, ...], host: str | None) -> tuple[list[WorkerState], list[str]]:
    """Return the workers that are meant, and a line for each word that means no live one."""
    live = [one for one in known if one.live]
    if not words:
        found = [one for one in live if host in (None, one.host)]
        if found or host is None:
            return found, []
        question = meant(host, {one.host for one in live})
        return [], [question or f"no live worker runs on {host[:40]!r} (simpledist workers lists them)"]
    unknown: list[str] = []
    chosen: dict[str, WorkerState] = {}
    for word in words:
        found = [one for one in live if word in (one.id, one.label)]
        chosen.update((one.id, one) for one in found)
        if found:
            continue
        past = [one for one in known if word in (one.id, one.label)]
        question = meant(word, {name for one in live for name in (one.id, one.label)})
        if past:
            unknown.append(
                f"worker {named(past[0])} is {past[0].health}: its jobs go back to their queues by themselves"
            )
        else:
            unknown.append(question or f"there is no worker {word[:40]!r} (simpledist workers lists them)")
    return list(chosen.values()), unknown


def _wait(broker: Broker, waiting: dict[str, WorkerState]) -> bool:
    """Return when these workers have left: whether all of them drained, none died."""
    fine, asked_at = True, time.monotonic()
    while waiting:
        rows = rows_of(broker, list(waiting))
        for id in [one for one in waiting if one not in rows or "dead" in rows[one]]:
            worker = waiting.pop(id)
            if id in rows:
                complain(PROGRAM, f"worker {named(worker)} died before it had drained")
                fine = False
            else:
                click.echo(f"worker {named(worker)} has left")
        if waiting and time.monotonic() - asked_at > ASK_AGAIN_SECONDS:
            asked_at = time.monotonic()
            broker.drain([id for id in waiting if "draining" not in rows[id]])
            broker.reap(workers=[(id, "") for id in waiting])  # one that was killed is seen by its silence
        if waiting:
            time.sleep(LOOK_SECONDS)
    return fine
