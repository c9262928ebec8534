"""Mutations of the pages and of the commands that look."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "pages",
        "a worker with another key looks well",
        "simpledist/monitor/rows.py",
        "    others = {one.id for one in known if tied or not common & {*one.keys}}\n",
        "    others = set[str]()\n",
        "tests/web/test_pages.py -k is_red",
    ),
    Mutation(
        "pages",
        "functions take colours that others have",
        "simpledist/monitor/looks.py",
        "            if place not in taken:\n",
        "            if True:\n",
        "tests/unit/test_looks.py",
    ),
    Mutation(
        "doctor",
        "the death of a worker that was replaced is a finding",
        "simpledist/cli/diagnostics/cluster.py",
        "    missed = [*silent, *_not_replaced(dead, workers)]\n",
        "    missed = [*silent, *dead]\n",
        "tests/unit/test_diagnostics.py -k replaced",
    ),
    Mutation(
        "doctor",
        "calls that ran at their clients are no finding",
        "simpledist/cli/diagnostics/cluster.py",
        "                counts.setdefault(why, {})[function] = number\n",
        "                pass\n",
        "tests/unit/test_diagnostics.py -k every_reason",
    ),
    Mutation(
        "keywords",
        "a keyword argument is passed as a text",
        "simpledist/cli/call.py",
        "        keyword = KEYWORD.match(text)\n",
        "        keyword = re.match('(?!)', text)\n",
        "tests/integration/test_cli_basics.py -k call_prints",
    ),
)
