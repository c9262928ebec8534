"""`simpledist doctor`: looks for what is wrong, and says what to do about each."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.text import Text

from simpledist.cli.checks import Finding, judge
from simpledist.cli.examination import examine
from simpledist.cli.options import OK, USAGE, WRONG, shared
from simpledist.cli.tables import show
from simpledist.config import Config

SCHEMA = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, stable for scripts (`schema` 1).")
@shared(log_level="error", needs_key_file=False)
def doctor(config: Config, as_json: bool) -> int:
    """Look for what is wrong with Redis, the cluster and the key file, and say what to do about it.

    Looked at: Redis' version, role, memory and eviction policy, its disk, the way to it, its clock, our rights, keys
    that were left behind, key and token file, dead workers, jobs that no worker can take, versions that are called and
    not offered, and workers that hold other code than their clients. It changes nothing and never reads a call or a
    result. The exit code is 1 if it finds anything, 2 if Redis refuses us, 0 if all is well.

    \b
    Examples:
        simpledist doctor
        simpledist doctor --json | jq -r '.checks[] | select(.ok | not) | .remedy'
    """
    facts = examine(config)
    findings = judge(config, facts)
    fine = all(one.ok for one in findings)
    if as_json:
        checks = [{"check": one.check, "ok": one.ok, "text": one.text, "remedy": one.remedy} for one in findings]
        click.echo(json.dumps({"schema": SCHEMA, "ok": fine, "checks": checks}))
    elif sys.stdout.isatty():
        _tell(findings)
    else:
        rows = [(one.check, "ok" if one.ok else "finding", one.text, one.remedy) for one in findings]
        show(("check", "result", "text", "remedy"), rows, empty="")
    if facts.snapshot.redis.refused:
        return USAGE
    return OK if fine else WRONG


def _tell(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    for one in findings:
        mark = ("ok  ", "green") if one.ok else ("!!  ", "bold red")
        console.print(Text.assemble(mark, (f"{one.check:<12}", "dim"), one.text))
        if not one.ok:
            console.print(Text(f"{'':16}{one.remedy}", style="bold"))
    wrong = sum(not one.ok for one in findings)
    console.print(Text(f"\n{wrong} to see to" if wrong else "\nall is well", style="bold red" if wrong else "green"))
