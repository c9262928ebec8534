"""`simpledist fingerprint MODULE:FUNCTION`: prints the code digest of a function, and the tree that it covers."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from simpledist.cli.options import OK, WRONG, shared
from simpledist.cli.reading import demand, demand_all, monitor_of, named
from simpledist.code.digest import CodeDigest, Digests
from simpledist.code.first_party import STANDARD_LIBRARY
from simpledist.code.outline import first_difference, parts_of
from simpledist.code.travelling_modules import Program
from simpledist.config import Config
from simpledist.errors import NotPacked, TargetError, Unserialisable
from simpledist.monitor.rows import printable
from simpledist.monitor.times import plural
from simpledist.wire.envelope import encode_arguments


@click.command()
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option("--against", metavar="WORKER", help="Compare with what this worker (its id or label) has loaded.")
@click.option("--files", is_flag=True, help="List what would travel with a call to a worker with --any, and end.")
@shared(connects="against")
def fingerprint(config: Config | None, target: str, against: str | None, files: bool) -> int:
    """Print the code digest of a function, and everything of its own package that it covers.

    Two functions with the same digest do the same: it covers the source of the function and of all that it uses in its
    own top package, on every Python from 3.10 on, and neither comments, docstrings and annotations nor where the
    files lie. Other first-party packages that it reaches have a hash of their own; the rest is listed by name.

    With --against the first part that differs is printed last, and the exit code is 1 where one does. Exits with 1
    also where the function has no digest, and says why. With --files nothing is compared: the files are listed that go
    along with a call to a worker that takes any function; exits with 1 where they would not.

    \b
    Examples:
        simpledist fingerprint fns:fib
        simpledist fingerprint fns:fib --files
        simpledist fingerprint fns:fib --against alder
    """
    if files:
        return _list_files(_imported(target))
    found = Digests().of(_imported(target))
    if not found.text:
        click.echo(f"{target} has no digest: {found.reason}")
        return WRONG
    click.echo(f"{found.text}  {':'.join(found.place)}")
    for line in _lines(found):
        click.echo(line)
    return OK if config is None or against is None else _compare(config, found, against)


def _list_files(function: Any) -> int:
    """List what a call of a function takes along, each file with its size in bytes."""
    try:
        archive = Program().archive_of(encode_arguments("pickle", (function,)))
    except (NotPacked, Unserialisable) as error:
        click.echo(f"nothing travels, calls run here: {error}")
        return WRONG
    held = {} if archive is None else archive.files()
    for name, size in held.items():
        click.echo(f"{size:9}  {printable(name)}")
    click.echo(plural(len(held), "file") if held else "no file travels: it needs no module of yours")
    return OK


def _compare(config: Config, found: CodeDigest, against: str) -> int:
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
        demand(config, snapshot.redis)
        workers = [one for one in snapshot.workers if one.live and against in (one.id, one.label)]
        for worker in workers:
            theirs = monitor.code(worker.id)
            difference = _difference(found, worker.functions, theirs)
            verdict = f"{difference} on" if difference else "the same code on"
            click.echo(f"{verdict} worker {named(worker)}")
            if difference:
                return WRONG
        demand_all(config, monitor.redis())
    if not workers:
        raise TargetError(f"no live worker has the id or label {against}: `simpledist workers` lists them")
    return OK


def _difference(found: CodeDigest, functions: Iterable[str], theirs: Mapping[str, str]) -> str:
    """Return the first difference, in words; "" where a function there has this very digest."""
    if not theirs:
        return "nothing is known of the code"
    difference = first_difference(parts_of(found), theirs)
    if difference or any(theirs.get(name) == found.text for name in functions):
        return difference
    return f"no function with the digest {found.text} (parts of its code were left out, or what is bound to it differs)"


def _imported(target: str) -> Any:
    module, colon, name = target.partition(":")
    if not colon or not module or not name:
        raise TargetError(f"{target}: write MODULE:FUNCTION, for example fns:fib")
    sys.path.insert(0, os.getcwd())
    try:
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except ImportError as error:
        raise TargetError(f"{module} cannot be imported: {error}") from None
    except AttributeError:
        raise TargetError(f"{module} has no {name}") from None
    return value


def _lines(found: CodeDigest) -> list[str]:
    tree = found.tree
    assert tree is not None
    parts = parts_of(found)
    lines = [f"  {parts[node.place]}  {node.place}, line {node.line}" for node in tree.nodes]
    lines += [f"  {hash or 'not here':12}  package {name}" for name, hash in found.packages.items()]
    others = {name.partition(".")[0] for name in tree.others} - {name.partition(".")[0] for name in found.packages}
    others -= STANDARD_LIBRARY
    return [*lines, *([f"  not covered, by name alone: {' '.join(sorted(others))}"] if others else [])]
