"""The `simpledist` command: a name and a line for each subcommand, whose module is imported when it is called.

So `simpledist --help` imports only click. Each subcommand is the click command `NAME` in simpledist/cli/NAME.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, cast

import click
from click.shell_completion import CompletionItem

from simpledist import platforms
from simpledist.cli.options import before_subcommand, run

SUBCOMMANDS = {
    "demo": "See the whole story on real processes, in about a minute.",
    "redis": "Run a private Redis, for this machine or (--listen) for several.",
    "ssh": "Start workers on other machines, through ssh.",
    "slurm": "Start workers under Slurm, as many as there is demand for.",
    "status": "Show what is queued and what runs, function by function.",
    "workers": "Show the workers: their health, what they offer, how busy they are.",
    "jobs": "Show what is queued and what runs, job by job.",
    "errors": "Show what failed, in groups, with one traceback each.",
    "explain": "Say what becomes of a function's calls, or of one job, and why.",
    "top": "Watch the cluster live, in the terminal.",
    "doctor": "Find what is wrong, and say what to do about it.",
    "cancel": "Take jobs off the cluster; their callers run them.",
    "drain": "Have workers finish their jobs and end, on any machine.",
    "disable": "Have calls of a function run at their callers, until it is enabled.",
    "enable": "Have calls of a function run on workers again.",
    "forget": "Remove a function that is not in use, such as a mistyped one.",
    "call": "Call a function on a worker and print what it returns.",
    "fingerprint": "Print the digest of a function's code, and what it covers.",
    "secret": "Make the key that signs calls and results.",
    "completion": "Print what makes bash, zsh or fish complete our commands.",
    "lua": "Print the Lua script of a verb, and where its parts come from.",
}


# Other commands, which people look for here.
ELSEWHERE = {"worker": "simpledist-worker", "distributor": "simpledist-distributor", "help": "simpledist --help"}


class LazyGroup(click.Group):
    """A group that knows its subcommands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand."""
        if cmd_name not in SUBCOMMANDS:
            return None
        try:
            return cast(click.Command, getattr(import_module(f"simpledist.cli.{cmd_name}"), cmd_name))
        except ImportError:
            platforms.demand()  # says in one line what this system lacks, if that is why
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a command for one that does not exist."""
        name = args[0]
        if name not in SUBCOMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name.lower(), [*SUBCOMMANDS, *ELSEWHERE], n=1)
            hint = f": did you mean {ELSEWHERE.get(near[0], near[0])}?" if near else ""
            raise click.UsageError(f"there is no command {name[:40]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a subcommand, or of an option, without importing any."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=text) for name, text in SUBCOMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@before_subcommand
def simpledist() -> None:
    """Call a pure function as if it were local: it runs on any free worker, or here.

    `simpledist-worker` starts a worker, `simpledist-distributor` starts the distributor with its dashboard; this
    command does the rest. Every subcommand has its own --help. Options may come before the subcommand or after it.

    \b
    Example, in three terminals:
        simpledist redis
        simpledist-worker fns:fib
        simpledist call fib 20
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    run(simpledist, "simpledist", arguments)


if __name__ == "__main__":
    main()
