"""`simpledist fingerprint MODULE:FUNCTION`: prints the code digest of a function, and the tree that it covers."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from simpledist.cli.options import shared
from simpledist.code.digest import CodeDigest, Digests
from simpledist.code.tree import Tree
from simpledist.errors import TargetError


@click.command()
@click.argument("target", metavar="MODULE:FUNCTION")
@shared(connects=False)
def fingerprint(target: str) -> None:
    """Print the code digest of a function, and everything of its own package that it covers.

    Two functions with the same digest do the same: it covers the source of the function and of all that it uses in its
    own top package, on every Python from 3.10 on, and neither comments, docstrings and annotations nor where the
    files lie. Other packages are listed by name. Exits with 1 where the function has no digest, and says why.

    \b
    Example:
        simpledist fingerprint fns:fib
    """
    found = Digests().of(_imported(target))
    if not found.text:
        click.echo(f"{target} has no digest: {found.reason}")
        sys.exit(1)
    click.echo(f"{found.text}  {':'.join(found.place)}")
    for line in _lines(found):
        click.echo(line)


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
    lines = [f"  {node.hash}  {_place(node.module, node.name)}, line {node.line}" for node in tree.nodes]
    others = sorted(_beside(tree))
    return [*lines, *([f"  not covered, by name alone: {' '.join(others)}"] if others else [])]


def _beside(tree: Tree) -> set[str]:
    return {name for name in tree.others if name not in sys.stdlib_module_names}


def _place(module: str, name: str) -> str:
    return f"{module} {name}" if name.startswith("(") else f"{module}:{name}"
