"""Mutations of finalisers, signals and snapshots in the client."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "local runs",
        "the listener starts every thread, also while a Redis hangs",
        "simpledist/client/local.py",
        "    return owned is None or owned()",
        "    return True",
        "tests/faults/test_redis_death.py -k hangs_costs_a_call",
    ),
    Mutation(
        "interruptions",
        "what hands over an outcome waits for the future's lock",
        "simpledist/client/future.py",
        "acquire(blocking=False):\n            self._outcomes.deferred.put(partial(self._offer, ready))",
        "acquire():\n            self._outcomes.deferred.put(partial(self._offer, ready))",
        "tests/faults/test_reentry.py -k each_line",
    ),
    Mutation(
        "interruptions",
        "an abandoned map is cancelled wherever the collector runs",
        "simpledist/client/client.py",
        "self._outcomes.deferred.put(functools.partial(run_outside, act))",
        "run_outside(act)",
        "tests/faults/test_reentry.py -k each_line",
    ),
    Mutation(
        "interruptions",
        "a result is waited for, whoever asks",
        "simpledist/client/future.py",
        "        if self._interrupts():\n            return False\n",
        "",
        "tests/faults/test_reentry.py -k own_outcome",
    ),
    Mutation(
        "interruptions",
        "what is done for an interruption is no place to be interrupted",
        "simpledist/client/inside.py",
        "    thread.inside = True\n    try:\n        return call()",
        "    thread.inside = False\n    try:\n        return call()",
        "tests/faults/test_reentry.py -k each_line",
    ),
    Mutation(
        "unclosed clients",
        "the listener outlives its client",
        "simpledist/client/client.py",
        "            reach.listener.close_when_idle()\n",
        "            pass\n",
        "tests/faults/test_reentry.py -k nobody_closes",
    ),
    Mutation(
        "an interrupted map",
        "goes on",
        "simpledist/client/mapping.py",
        "                if error is not self._raised:\n                    self._cancel()",
        "                if False:\n                    self._cancel()",
        "tests/faults/test_interrupts.py -k cancels_the_rest",
    ),
    Mutation(
        "snapshots",
        "a local run takes the originals",
        "simpledist/client/snapshot.py",
        "    if not len(body):\n        return args, kwargs",
        "    if True:\n        return args, kwargs",
        "tests/integration/test_snapshots.py -k submit_and_its_local",
    ),
    Mutation(
        "snapshots",
        "a map draws many items before it encodes the first",
        "simpledist/client/mapping.py",
        "        if self._still:",
        "        if True:",
        "tests/integration/test_snapshots.py -k reused",
    ),
    Mutation(
        "await",
        "StopIteration is handed to the awaiting coroutine",
        "simpledist/client/awaiting.py",
        "    except StopIteration as error:\n",
        "    except ZeroDivisionError as error:\n",
        "tests/interfaces/test_asyncio.py -k stop_iteration",
    ),
)
