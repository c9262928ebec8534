"""What stands in deploy/: the documents of its YAML files, and each command line of ours in any kind of file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import click
import yaml

from simpledist.cli.main import SUBCOMMANDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
YAML_FILES = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
PROGRAMS = ("simpledist", "simpledist-worker", "simpledist-distributor")


def documents(path: Path) -> list[Any]:
    """Return the documents of a YAML file."""
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one is not None]


def lists(value: Any) -> Iterator[list[str]]:
    """Yield each list of texts in a document, however deep."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(cast("dict[Any, Any]", value).values())
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
        if inner and all(isinstance(one, str) for one in inner):
            yield inner
    for one in inner:
        yield from lists(one)


def settings(path: Path) -> dict[str, str]:
    """Return the variables of a file that EnvironmentFile= reads."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def unit(path: Path) -> dict[str, str]:
    """Return the settings of a unit file; the last one of a name counts."""
    lines = [line for line in path.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def of_unit(path: Path) -> list[str]:
    """Return the command line of a unit with the settings of the file of this folder, as systemd puts it together."""
    values = unit(path)
    named = Path(values["EnvironmentFile"].lstrip("-")).name.replace("%i", "fns")
    file = path.parent / named
    variables = settings(file) if file.exists() else {}
    words = re.sub(r"\$(\w+)", lambda found: variables.get(found[1], ""), values["ExecStart"]).split()
    return [Path(words[0]).name, *words[1:]]


def of_nomad() -> list[str]:
    """Return the command line of the task."""
    text = (DEPLOY / "nomad" / "worker.nomad.hcl").read_text("utf-8")
    command, arguments = re.search(r'command = "(.+)"', text), re.search(r"args\s+= \[(.+)\]", text)
    assert command
    assert arguments
    return [command[1], *re.findall(r'"([^"]*)"', arguments[1])]


def of_slurm() -> list[str]:
    """Return the command line that srun starts."""
    text = (DEPLOY / "slurm" / "workers.sbatch").read_text("utf-8").replace("\\\n", " ")
    line = next(line for line in text.splitlines() if "simpledist-worker" in line and not line.startswith("#"))
    words = shlex.split(line)
    return words[words.index("simpledist-worker") :]


def of_comments(path: Path) -> Iterator[list[str]]:
    """Yield the command lines of ours in the comments of a file."""
    for line in re.findall(r"^#[ \t]+(.*)$", path.read_text("utf-8"), re.MULTILINE):
        for part in re.findall(r"(?:^|&& |do )(simpledist[a-z-]* [^;#&|]*)", line):
            yield shlex.split(part)


def command_lines() -> list[tuple[str, list[str]]]:
    """Return (file, words) of each command line of ours in deploy/."""
    found = [("nomad/worker.nomad.hcl", of_nomad()), ("slurm/workers.sbatch", of_slurm())]
    found += [(f"systemd/{path.name}", of_unit(path)) for path in UNITS]
    for path in YAML_FILES:
        lines = [line for document in documents(path) for line in lists(document) if line[0] in PROGRAMS]
        found += [(path.relative_to(DEPLOY).as_posix(), line) for line in lines]
    for path in sorted(DEPLOY.rglob("*.*")):
        found += [(path.relative_to(DEPLOY).as_posix(), line) for line in of_comments(path)]
    return found


def parsed(words: list[str]) -> dict[str, Any]:
    """Return the options that our own command line reads from these words; raises click.UsageError as it would."""
    program, *rest = words
    if program == "simpledist":
        assert rest[0] in SUBCOMMANDS, rest[0]
        program, rest = rest[0], rest[1:]
    module = import_module(f"simpledist.cli.{program.removeprefix('simpledist-').replace('-', '_')}")
    command = next(value for value in vars(module).values() if isinstance(value, click.Command))
    if isinstance(command, click.Group) and rest:
        command, rest = command.commands[rest[0]], rest[1:]
    with command.make_context(program, list(rest)) as context:
        return dict(context.params)
