"""`simpledist secret FILE`: makes a key that signs calls and results."""

from __future__ import annotations

import os

import click

from simpledist.cli.options import shared
from simpledist.errors import ConfigurationError
from simpledist.wire.key_file import new_secret


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@shared(connects=False)
def secret(file: str) -> None:
    """Make a new key in FILE, readable by you alone.

    Give the same file to every client and worker of a cluster (--secret-file FILE, or SIMPLEDIST_SECRET_FILE); each
    then refuses everything that is not signed by it. Anyone who has the key can run code on all of them. A file that
    exists is never overwritten. To change keys, add the new line above the old one everywhere, and remove the old line
    later.

    \b
    Example:
        simpledist secret ~/.simpledist.key
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{file} exists and was not changed: choose another name") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as output:
        output.write(new_secret() + "\n")
    click.echo(
        f"made {file}; give it to every process with --secret-file or SIMPLEDIST_SECRET_FILE "
        "(the dashboard's token: SIMPLEDIST_WEB_TOKEN_FILE)"
    )
