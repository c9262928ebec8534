"""`simpledist ssh HOST... -- TARGET...`: workers on other machines, for as long as the command runs."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simpledist.cli.operating import ask_redis
from simpledist.cli.options import shared
from simpledist.cli.worker_words import SEPARATOR, WithTargets, worker_options
from simpledist.config import Config
from simpledist.errors import ConfigurationError
from simpledist.ssh import archive, hosts, invocation, tunnel
from simpledist.ssh.fleet import Fleet, HostRun
from simpledist.ssh.hosts import Host
from simpledist.ssh.session import Plan
from simpledist.wire.process_keys import keyring_of

PROGRAM = "simpledist ssh"
PLAIN = re.compile(r"[A-Za-z0-9_./-]{1,40}")  # of the path of a folder that ssh takes as it is


@click.command(cls=WithTargets, options_metavar="[OPTIONS]", context_settings={"max_content_width": 100})
@click.argument("words", metavar="[USER@]HOST[:PORT]... -- TARGET... [WORKER OPTIONS]", nargs=-1)
@click.option("--hosts", "hosts_file", metavar="FILE", help="A file with one host a line, and comments after a #.")
@click.option(
    "--bootstrap",
    is_flag=True,
    help="Copy simpledist and what it needs into a cache folder there: the other machine needs Python 3.10 alone.",
)
@click.option(
    "--python",
    metavar="PROGRAM",
    help="The Python there, by name or path.  [default: that of simpledist-worker; with --bootstrap the one of our "
    "version, else any from 3.10 on]",
)
@shared(signs=True)
def ssh(config: Config, words: tuple[str, ...], hosts_file: str | None, bootstrap: bool, python: str | None) -> int:
    """Start a worker on each HOST, and keep it there until Ctrl-C.

    Behind "--" are the targets and options of simpledist-worker, the same for all hosts. Redis stays where it is: the
    workers reach it through ssh, by a socket that only you can use there. Your key goes with them: it signs calls, and
    anyone who has it can run code here. So name hosts that you trust as much as this machine.

    ssh asks no question: use a key without a passphrase or an agent, and connect to a new host by hand once. Hosts,
    users, keys and jumps stand in ~/.ssh/config, as for ssh itself.

    Each line of a host has its name in front. A connection that is lost ends its worker, and is made again after 1 s,
    2 s and so on, up to a minute. Ctrl-C drains all workers; a second one ends them at once. The exit code is 0 if all
    workers ended well, 1 if one did not, or could not be started.

    \b
    Examples:
        simpledist ssh alder birch:2222 -- fns:fib
        simpledist ssh --hosts machines.txt --bootstrap -- --any --slots 8
    """
    targets: list[str] = click.get_current_context().meta[SEPARATOR]
    worker_options(targets)
    machines = hosts.chosen(words, hosts_file)
    if shutil.which("ssh") is None:
        raise ConfigurationError("there is no ssh on the path: install the client of OpenSSH")
    if python is not None:
        python = invocation.demand_python(python)
    keyring = keyring_of(config)
    arguments = ["--namespace", config.namespace, *([] if keyring else ["--insecure"]), *targets]
    folder = _folder()
    try:
        plan = Plan(
            tunnel=tunnel.reached_by(config.url, folder),
            arguments=tuple(arguments),
            key=keyring.as_file() if keyring else None,  # as it was checked: its file may change
            archive=archive.made() if bootstrap else None,
            python=python,
        )
        ask_redis(config, PROGRAM)
        console = Console(highlight=False)
        if not console.is_terminal:
            return Fleet(machines, plan, folder, Lines()).run()
        with Live(console=console, auto_refresh=False) as live:
            return Fleet(machines, plan, folder, LiveTable(live)).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """Make a folder of our own for the sockets of ssh, whose path it takes as it is."""
    for place in (tempfile.gettempdir(), "/tmp"):
        if PLAIN.fullmatch(place):
            return Path(tempfile.mkdtemp(prefix="sd-", dir=place))
    raise ConfigurationError("set TMPDIR to a folder with a short, plain path")


class Lines:
    """Shows plain lines, for a pipe or a file."""

    def line(self, host: Host, text: str) -> None:
        """Print a line of a host."""
        click.echo(f"[{host.name}] {text}")
        sys.stdout.flush()

    def states(self, runs: Sequence[HostRun]) -> None:
        """Print nothing: each change has a line."""


class LiveTable:
    """Shows the same lines, and below them a table of all hosts that is kept up to date."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown: list[tuple[str, str, str]] = []

    def line(self, host: Host, text: str) -> None:
        """Print a line of a host above the table."""
        self._live.console.print(Text(f"[{host.name}] {text}"), soft_wrap=True)

    def states(self, runs: Sequence[HostRun]) -> None:
        """Draw the table, where it has changed."""
        rows = [(run.host.name, run.state, run.last) for run in runs]
        if rows == self._shown:
            return
        self._shown = rows
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("host", "state", "last line"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        most = max(self._live.console.size.height - 4, 1)
        for row in rows[:most]:
            table.add_row(*map(Text, row))
        left = [Text(f"and {len(rows) - most} more hosts")] if len(rows) > most else []
        self._live.update(Group(Text(""), table, *left), refresh=True)
