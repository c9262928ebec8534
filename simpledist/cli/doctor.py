"""`simpledist doctor`: finds what is wrong, and says what to do about it. diagnostics/ holds the checks."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.text import Text

from simpledist.cli.diagnostics.facts import gather
from simpledist.cli.diagnostics.finding import Finding
from simpledist.cli.diagnostics.report import report
from simpledist.cli.options import OK, USAGE, WRONG, shared
from simpledist.cli.tables import json_option, plain, show, show_json
from simpledist.config import Config
from simpledist.monitor.times import plural


@click.command()
@json_option
@shared(log_level="error", needs_key_file=False)
def doctor(config: Config, as_json: bool) -> int:
    """Find what is wrong with Redis, the cluster and the key file, and say what to do about it.

    It checks Redis (version, role, memory, eviction, disk, latency, clock, our rights, keys left behind), the key and
    token file, the workers (dead ones that were not replaced, and those that cannot do their work), jobs that no
    worker can take, functions that are called and not offered, and every reason for which calls ran at their clients
    in the last 10 minutes, unless somebody asked for it. It changes nothing and never reads a call or a result.

    The exit code is 1 if it finds anything, 2 if Redis refuses us, 0 if all is well.

    \b
    Examples:
        simpledist doctor
        simpledist doctor --json | jq -r '.checks[] | select(.ok | not) | .remedy'
    """
    facts = gather(config)
    findings = report(config, facts)
    fine = all(one.ok for one in findings)
    if as_json:
        checks = [{"check": one.check, "ok": one.ok, "text": one.text, "remedy": one.remedy} for one in findings]
        show_json(ok=fine, checks=checks)
    elif sys.stdout.isatty():
        _print(findings)
    else:
        rows = [(one.check, "ok" if one.ok else "finding", one.text, one.remedy) for one in findings]
        show(("check", "result", "text", "remedy"), rows, empty="")
    if facts.snapshot.redis.refused:
        return USAGE
    return OK if fine else WRONG


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    for one in findings:
        mark = ("ok  ", "green") if one.ok else ("!!  ", "bold red")
        console.print(Text.assemble(mark, (f"{one.check:<12}", "dim"), plain(one.text)))
        if not one.ok:
            console.print(Text(f"{'':16}{plain(one.remedy)}", style="bold"))
    wrong = sum(not one.ok for one in findings)
    console.print(
        Text(f"\n{plural(wrong, 'finding')}" if wrong else "\nall is well", style="bold red" if wrong else "green")
    )
