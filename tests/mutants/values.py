"""Mutations of what runs inside a child: random state, output, exceptions."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

COPIES = "tests/values/test_forked_copies.py"
OUTPUT = "tests/values/test_output.py"
RANDOM = "tests/values/test_random.py"
LIMITS = "tests/values/test_limits.py"
EVIL = "tests/values/test_evil.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "forked copy",
        "what returns in a copy answers for the job",
        "simpledist/worker/child.py",
        "if original.copied:",
        "if False:",
        COPIES,
    ),
    Mutation(
        "forked copy",
        "what raises in a copy answers for the job",
        "simpledist/wire/running.py",
        "if original is not None and original.is_copied():",
        "if False:",
        COPIES,
    ),
    Mutation(
        "forked copy",
        "a fork of C code is not seen",
        "simpledist/copies.py",
        "self.copied or os.getpid() != self._pid",
        "self.copied",
        COPIES,
    ),
    Mutation(
        "forked copy",
        "a copy passes over SIGTERM",
        "simpledist/worker/lifeline.py",
        "signal.signal(number, usual)",
        "pass",
        COPIES + " -k outcome_of_the_original",
    ),
    Mutation(
        "limits",
        "a smaller recursion limit is the function's own",
        "simpledist/wire/limits.py",
        "(MemoryError, ImportError, RecursionError)",
        "(MemoryError, ImportError)",
        LIMITS,
    ),
    Mutation(
        "limits",
        "what led to an exception is not looked at",
        "simpledist/wire/limits.py",
        "waiting += (one.__context__, one.__cause__)",
        "pass",
        LIMITS,
    ),
    Mutation(
        "limits",
        "the throw-away child has limits of its own",
        "simpledist/client/throwaway.py",
        'sys.setrecursionlimit(surroundings["recursion"])',
        "pass",
        LIMITS,
    ),
    Mutation(
        "evil pickles",
        "a result's class is not tried in the child",
        "simpledist/wire/returning.py",
        "    if not new:\n",
        "    if True:\n",
        EVIL + " -k 'result and (exit or kill)'",
    ),
    Mutation(
        "evil pickles",
        "what kills while it is loaded counts for the function's own deed",
        "simpledist/client/throwaway.py",
        "loaded = answer.startswith(_LOADED)",
        "loaded = not answer.startswith(_UNREADABLE)",
        EVIL,
    ),
    Mutation(
        "evil pickles",
        "the client loads what it gives to a throw-away child",
        "simpledist/client/running.py",
        "call.args, call.kwargs, sent=call.sent(), crashed",
        "*call.given(), crashed",
        EVIL + " -k 'argument and (exit or kill)'",
    ),
    Mutation(
        "evil pickles",
        "the throw-away child imports from the current folder",
        "simpledist/client/throwaway.py",
        "_BOOT, str(write_end), *filter(None, sys.path)]",
        '_BOOT, str(write_end), "", *filter(None, sys.path)]',
        EVIL,
    ),
    Mutation(
        "whole exceptions",
        "the remote traceback takes the cause's place",
        "simpledist/wire/raised.py",
        "last = chain.lowest_cause(error)",
        "last = error",
        "tests/unit/test_wire.py",
    ),
    Mutation(
        "output",
        "a stream that a job closed stays closed",
        "simpledist/worker/output.py",
        "stream.buffer.shut = False",
        "stream.buffer.shut = stream.buffer.shut",
        OUTPUT,
    ),
    Mutation(
        "output",
        "the pipe is not told that a job is over",
        "simpledist/worker/output.py",
        "if self._said or self._has_unread():",
        "if False:",
        OUTPUT + " -k 'breath or each_way'",
    ),
    Mutation(
        "output",
        "a job's descriptors stay as it left them",
        "simpledist/worker/output.py",
        "os.dup2(self._pipe, descriptor)",
        "pass",
        OUTPUT + " -k does_to_its_streams",
    ),
    Mutation(
        "output",
        "whoever reads stderr is waited for",
        "simpledist/worker/nonblocking.py",
        "flags = os.O_WRONLY | os.O_NONBLOCK",
        "flags = os.O_WRONLY",
        OUTPUT + " -k holds_up",
    ),
    Mutation(
        "output",
        "what is not read is kept without end, and never counted as lost",
        "simpledist/worker/printer.py",
        "if stuck and len(self._waiting)",
        "if False and len(self._waiting)",
        OUTPUT + " -k missed",
    ),
    Mutation(
        "random state",
        "a child goes on with its template's",
        "simpledist/worker/child.py",
        "        randomness.begin_anew()\n",
        "",
        RANDOM,
    ),
    Mutation(
        "random state",
        "a seed that was set on purpose is kept",
        "simpledist/randomness.py",
        'spawn_key=(int.from_bytes(os.urandom(16), "big"),)',
        "spawn_key=()",
        RANDOM,
    ),
)
