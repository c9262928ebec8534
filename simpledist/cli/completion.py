"""`simpledist completion SHELL`: prints the script by which a shell completes our commands and options."""

from __future__ import annotations

import re
from importlib import import_module

import click
from click.shell_completion import get_completion_class

from simpledist.cli.options import shared
from simpledist.errors import ConfigurationError

PROGRAMS = {
    "simpledist": ("main", "simpledist"),
    "simpledist-worker": ("worker", "worker"),
    "simpledist-distributor": ("distributor", "distributor"),
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@shared(connects=False)
def completion(shell: str) -> None:
    """Print the completion of SHELL for simpledist, simpledist-worker and simpledist-distributor.

    \b
    Examples:
        eval "$(simpledist completion bash)"           # in ~/.bashrc (bash 4.4 or newer)
        eval "$(simpledist completion zsh)"            # in ~/.zshrc, behind compinit
        simpledist completion fish > ~/.config/fish/completions/simpledist.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise ConfigurationError(f"this click has no completion for {shell}")
    for program, (module, name) in PROGRAMS.items():
        command: click.Command = getattr(import_module(f"simpledist.cli.{module}"), name)
        variable = f"_{re.sub('[-.]', '_', program)}_COMPLETE".upper()
        script = made(command, {}, program, variable)
        # Not `script.source()`: for bash it runs the bash on the path to see its version.
        click.echo(script.source_template % script.source_vars())
