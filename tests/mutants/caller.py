"""What a caller hears of calls that run at their client: lines of the log, details, and counts."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

LOCAL_RUN_COUNTS = "simpledist/engine/local_run_counts.py"
TALLY = "simpledist/engine/tally.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "why here",
        "the first local run of a function says nothing",
        LOCAL_RUN_COUNTS,
        "        self._notices.leave(self.look, at_once=True)\n",
        "",
        "tests/integration/test_terminal.py",
    ),
    Mutation(
        "why here",
        "the first local run does not wait for its line",
        LOCAL_RUN_COUNTS,
        "            self._notices.flush(FIRST_SECONDS)\n",
        "            pass\n",
        "tests/integration/test_terminal.py",
    ),
    Mutation(
        "why here",
        "what somebody asked for is said, too",
        LOCAL_RUN_COUNTS,
        "        if is_silent(why) or sys.is_finalizing():",
        "        if sys.is_finalizing():",
        "tests/integration/test_terminal.py",
    ),
    Mutation(
        "why here",
        "calls after the first are not in a later line",
        LOCAL_RUN_COUNTS,
        "                    self._unreported[what] += calls * times\n",
        "                    self._unreported[what] += 0\n",
        "tests/unit/test_local_run_counts.py",
    ),
    Mutation(
        "why here",
        "the line does not name the worker",
        "simpledist/engine/lines.py",
        "        if last.worker:\n",
        "        if False:\n",
        "tests/integration/test_details.py -k together",
    ),
    Mutation(
        "why here",
        "a call of a batch does not know the worker that could not do it",
        "simpledist/engine/batch.py",
        "events.append(Alone(member, part, info.worker))",
        "events.append(Alone(member, part))",
        "tests/integration/test_details.py -k together",
    ),
    Mutation(
        "why here",
        "a call of a map's batch does not know the worker that could not do it",
        "simpledist/engine/engine.py",
        "whole.info.worker if whole.info is not None else None",
        "None",
        "tests/integration/test_details.py -k together",
    ),
    Mutation(
        "stats",
        "reasons are not counted",
        TALLY,
        "                reasons.update(map(_why, infos))\n",
        "",
        "tests/unit/test_tally.py",
    ),
    Mutation(
        "stats",
        "what was returned counts as failed",
        TALLY,
        "len(infos) if ended is self.raised else 0",
        "len(infos)",
        "tests/unit/test_tally.py",
    ),
    Mutation(
        "stats",
        "the child of a fork goes on with its parent's counts",
        TALLY,
        "        self._sums = [0.0, 0.0, 0, 0]  # seconds",
        '        self._sums = getattr(self, "_sums", [0.0, 0.0, 0, 0])  # seconds',
        "tests/unit/test_tally.py",
    ),
)
