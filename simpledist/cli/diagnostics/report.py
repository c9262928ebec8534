"""All findings, in the order in which one repairs them: Redis first, then this machine, then the cluster."""

from __future__ import annotations

from simpledist.cli.diagnostics import cluster, machine, server, server_flaws
from simpledist.cli.diagnostics.facts import Facts
from simpledist.cli.diagnostics.finding import Finding
from simpledist.config import Config


def report(settings: Config, facts: Facts) -> list[Finding]:
    """Return what every check found; a check that found nothing wrong gives one line that says so."""
    findings = [*server.reachable(settings, facts), *server.sentinels(facts), *machine.files(settings, facts)]
    if facts.snapshot.redis.ok:
        findings += server_flaws.known(settings, facts)
        for check in (*server.CHECKS, *cluster.CHECKS):
            findings += check(facts)
    return findings
