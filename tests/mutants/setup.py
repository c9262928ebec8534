"""Environments for calls, and what a worker does once: whole or not at all, and not for ever."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

WITH = "tests/integration/test_with_distributions.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "distributions",
        "a start that is killed leaves half an environment",
        "simpledist/worker/distributions.py",
        '        inside = part / "inside"\n',
        "        inside = folder\n",
        f"{WITH} -k half_environment",
    ),
    Mutation(
        "distributions",
        "two workers install at once",
        "simpledist/worker/distributions.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        f"{WITH} -k two_workers",
    ),
    Mutation(
        "distributions",
        "calls are decoded by another cloudpickle than they were encoded by",
        "simpledist/worker/requirements.py",
        '        found.append(f"{SAME}=={metadata.version(SAME)}")\n',
        "",
        f"{WITH} -k ends_the_worker",
    ),
    Mutation(
        "setup",
        "a function that hangs holds up its worker for ever",
        "simpledist/worker/watchdog.py",
        "    faulthandler.dump_traceback_later(seconds, exit=True)\n",
        "",
        "tests/integration/test_setup.py -k hangs",
    ),
)
