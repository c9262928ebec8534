"""Mutations of what has workers come and go: demand, the law of scaling, workers by ssh and under Slurm."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

DEMAND = "tests/integration/test_demand.py"
OF_A_CLIENT = "tests/unit/test_client_demand.py"
SCALING = "tests/unit/test_scaling.py"
LAUNCHER = "tests/integration/test_ssh_launcher.py"
SSH = "tests/unit/test_ssh.py"
SLURM = "tests/integration/test_cli_slurm.py"

MUTATIONS = (
    Mutation(
        "demand",
        "calls that run at their callers for want of a worker count for nothing",
        "simpledist/engine/calls.py",
        "self.demand.begins(future, function)",
        "pass",
        DEMAND + " -k 'for_want_of_a_worker'",
    ),
    Mutation(
        "demand",
        "what a client said long ago counts",
        "simpledist/monitor/demand.py",
        "elif abs(now - client[0] / 1000) <= COUNTS_SECONDS:",
        "else:",
        OF_A_CLIENT + " -k old_rows",
    ),
    Mutation(
        "demand",
        "a call whose thread was torn away runs for ever",
        "simpledist/engine/demand.py",
        "if future.done():",
        "if False:",
        OF_A_CLIENT + " -k torn_away",
    ),
    Mutation(
        "demand",
        "nothing is taken back when the last call has ended",
        "simpledist/engine/demand.py",
        "before, self._told = self._told, bool(demand)",
        "before, self._told = False, bool(demand)",
        OF_A_CLIENT + " -k taken_back",
    ),
    Mutation(
        "demand",
        "a Redis that is away is an idle cluster",
        "simpledist/monitor/scales.py",
        "        if not self._monitor.redis().ok:\n            return None\n",
        "",
        DEMAND + " -k no_idle_cluster",
    ),
    Mutation(
        "law of scaling",
        "one look is enough for fewer workers",
        "simpledist/scaling.py",
        "LOOKS = 3",
        "LOOKS = 1",
        SCALING + " -k three_looks",
    ),
    Mutation(
        "law of scaling",
        "the lowest of three looks counts",
        "simpledist/scaling.py",
        "Scale(max(fewer))",
        "Scale(min(fewer))",
        SCALING + " -k three_looks",
    ),
    Mutation(
        "law of scaling",
        "each short job that waits has a slot of its own",
        "simpledist/scaling.py",
        "self.running + min(self.waiting, self.waiting * mean / seconds)",
        "self.jobs",
        SCALING + " -k no_crowd",
    ),
    Mutation(
        "workers by ssh",
        "a worker outlives its connection",
        "simpledist/ssh/launcher.py",
        "return not self._ended and time.monotonic()",
        "return time.monotonic()",
        LAUNCHER + " -k end_of_the_connection",
    ),
    Mutation(
        "workers by ssh",
        "files that came through changed are run",
        "simpledist/ssh/launcher.py",
        "if stdin.copy_to(file, count) != digest:",
        'if stdin.copy_to(file, count) == "":',
        LAUNCHER + " -k came_through_changed",
    ),
    Mutation(
        "workers by ssh",
        "a cache folder that others can enter is used",
        "simpledist/ssh/launcher.py",
        " and not status.st_mode & 0o077",
        "",
        LAUNCHER + " -k others_can_enter",
    ),
    Mutation(
        "workers by ssh",
        "a host may have ssh forward to another place",
        "simpledist/ssh/messages.py",
        "if not PLAIN.fullmatch(socket) or not",
        "if not",
        SSH + " -k no_launcher_sends",
    ),
    Mutation(
        "workers by ssh",
        "a host may be an option of ssh",
        "simpledist/ssh/hosts.py",
        '_NAME = r"[A-Za-z0-9_](?:',
        '_NAME = r"[A-Za-z0-9_-](?:',
        SSH + " -k what_is_no_host",
    ),
    Mutation(
        "workers under Slurm",
        "Slurm is given the password of Redis",
        "simpledist/slurm/worker_jobs.py",
        " if name not in KEPT_BACK}",
        "}",
        SLURM + " -k keeps_neither",
    ),
    Mutation(
        "workers under Slurm",
        "a worker that runs is cancelled when demand falls",
        "simpledist/slurm/follower.py",
        "[one for one in reversed(there) if one.waits][",
        "[one for one in reversed(there)][",
        SLURM + " -k has_not_started",
    ),
    Mutation(
        "workers under Slurm",
        "jobs of another command are counted",
        "simpledist/slurm/commands.py",
        " and name in names:",
        ":",
        SLURM + " -k has_not_started",
    ),
)
