"""Mutations of command lines, embedded server and limits of the machine."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "refusals",
        "a command that Redis refuses counts as an empty answer",
        "simpledist/monitor/reader.py",
        "                    raise RedisRefused(trouble)\n",
        "                    continue\n",
        "tests/integration/test_refusals.py -k 'command_shows_all'",
    ),
    Mutation(
        "refusals",
        "a replica is taken for its primary",
        "simpledist/monitor/reader.py",
        '        if replication.get("role", "master") == "master":\n',
        "        if True:\n",
        "tests/integration/test_refusals.py -k replica",
    ),
    Mutation(
        "refusals",
        "an answer that may pass is no refusal",
        "simpledist/monitor/monitor.py",
        "    if found is None and not isinstance(error, RedisRefused):\n",
        "    if not isinstance(error, RedisRefused):\n",
        "tests/integration/test_refusals.py -k 'without_slots or loading'",
    ),
)
