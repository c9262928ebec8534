"""Checks of this machine: the key file and the token file."""

from __future__ import annotations

from collections.abc import Iterator

from simpledist import config
from simpledist.cli.diagnostics.facts import Facts, SecretFile
from simpledist.cli.diagnostics.finding import Finding
from simpledist.config import Config


def files(settings: Config, facts: Facts) -> Iterator[Finding]:
    """Check the key file and the token file; a Redis on another machine needs a key."""
    for name, file in (("key file", facts.key_file), ("token file", facts.token_file)):
        if file is not None:
            yield _file(name, file)
    if facts.key_file is not None and facts.key_file.ids:
        yield from _strangers(facts.key_file, facts)
    if facts.key_file is None and config.on_this_machine(settings.url):
        yield Finding("secret", "nothing is signed" if settings.insecure else "the first call or worker makes the key")
    elif facts.key_file is None:
        yield Finding(
            "secret",
            f"nothing is signed, but Redis at {settings.safe_url} is on another machine: who can write to it can "
            "run code on workers and clients",
            "make a key with simpledist secret FILE and give every process --secret-file FILE",
        )


def _strangers(file: SecretFile, facts: Facts) -> Iterator[Finding]:
    """Report that no worker takes the calls of this user, where that is so."""
    live = [one for one in facts.snapshot.workers if one.live]
    if live and not any({*file.ids} & {*one.keys} for one in live):
        yield Finding(
            "secret",
            f"no live worker holds our key ({file.ids[0]} of {file.path}): our calls run at their clients",
            "give the workers this file, or give every process the same --secret-file",
        )


def _file(name: str, file: SecretFile) -> Finding:
    if file.open_to_others:
        return Finding("secret", f"{name} {file.path} is open to other users of this machine", f"chmod 600 {file.path}")
    if file.trouble:
        return Finding("secret", f"{name} {file.path}: {file.trouble}", "make a new one with simpledist secret FILE")
    key = f" has key {file.ids[0]} and" if file.ids else ""
    return Finding("secret", f"{name} {file.path}{key} is safe from other users")
