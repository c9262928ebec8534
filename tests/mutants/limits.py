"""Mutations of what a job may take: its time, its memory, its GPU."""

from __future__ import annotations

from tests.mutants.mutation import LUA, Mutation

TIME = "tests/integration/test_hard_timeout.py"
MEMORY = "tests/integration/test_memory_limit.py"
GPUS = "tests/integration/test_gpus.py"

MUTATIONS = (
    Mutation(
        "hard timeout",
        "a worker does not hear of it",
        "simpledist/engine/envelopes.py",
        "hard_ms=0 if hard_timeout is None else max(1, round(hard_timeout * 1000)),",
        "hard_ms=0,",
        TIME + " -k 'hangs_on_a_worker and submit'",
    ),
    Mutation(
        "hard timeout",
        "a run at its client is in the client's process",
        "simpledist/engine/call.py",
        "if why in SUSPECT or self.spec.hard_timeout is not None:",
        "if why in SUSPECT:",
        TIME + " -k 'without_it'",
    ),
    Mutation(
        "hard timeout",
        "calls that are ended travel in batches",
        "simpledist/engine/batch.py",
        "        and call.spec.hard_timeout is None\n",
        "",
        TIME + " -k shares_a_job",
    ),
    Mutation(
        "memory limit",
        "what a job has started counts for nothing",
        "simpledist/worker/memory.py",
        "        found += _children(one)\n",
        "        break\n",
        MEMORY + " -k has_started",
    ),
    Mutation(
        "memory limit",
        "shared pages count for each child",
        "simpledist/worker/limits.py",
        "        found = proportional_bytes(pids)\n",
        "        found = None\n",
        MEMORY + " -k share_with_their_template",
    ),
    Mutation(
        "memory limit",
        "no other worker tries it",
        "simpledist/policy.py",
        '"worker_error", "other_code", "memory"})',
        '"worker_error", "other_code"})',
        MEMORY + " -k second_try",
    ),
    Mutation(
        "memory limit",
        "a worker is struck for what it had to stop",
        LUA + "fail.lua",
        "if why == 'other_code' or why == 'memory' then",
        "if why == 'other_code' then",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "memory limit",
        "the caller's own process runs it",
        "simpledist/reasons.py",
        '        suspect=True,\n    ),\n    "worker_error"',
        '    ),\n    "worker_error"',
        MEMORY + " -k 'memory_error and submit'",
    ),
    Mutation(
        "GPUs",
        "children see all of them",
        "simpledist/worker/children.py",
        "self._gpus[number] if self._gpus else {}",
        "{}",
        GPUS + " -k sees_one",
    ),
)
