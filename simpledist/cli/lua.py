"""`simpledist lua VERB`: prints the script of a verb as Redis gets it, with the file and line of each part."""

from __future__ import annotations

import click

from simpledist.broker import scripts
from simpledist.cli.options import shared


@click.command()
@click.argument("verb", type=click.Choice(scripts.VERBS))
@shared(connects=False)
def lua(verb: str) -> None:
    """Print the Lua script that runs in Redis for VERB.

    A script is composed: the verb's own file, and before it those definitions of the files by noun (_job.lua, ...)
    that the verb uses. A comment names the file and line that each part comes from. An error of Redis inside of a
    script names the same files and lines.

    \b
    Examples:
        simpledist lua submit
        simpledist lua complete | luacheck -
    """
    click.echo(scripts.loaded()[verb].for_people(), nl=False)
