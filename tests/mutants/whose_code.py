"""Which code serves a call: what is asked of Redis and of the worker, and what a caller hears of it."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

LUA = "simpledist/broker/lua/"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "whose code",
        "stale code serves by its name",
        LUA + "_offer.lua",
        "if not wish.place or same_function then return 'other_code' end",
        "if not wish.place then return 'other_code' end",
        "tests/broker/test_lanes.py -k place",
    ),
    Mutation(
        "whose code",
        "a worker runs a call for code that it has not loaded",
        "simpledist/worker/jobs.py",
        "        if self.other_code.differs(function, call.code, call.packages):\n",
        "        if False:\n",
        "tests/integration/test_whose_code.py -k refuses",
    ),
    Mutation(
        "whose code",
        "other packages are not compared",
        "simpledist/worker/other_code.py",
        "            if all(ours.get(name, hash) == hash for name, hash in _pairs(packages)):\n",
        "            if True:\n",
        "tests/integration/test_whose_code.py -k another_package",
    ),
    Mutation(
        "whose code",
        "a worker with other code is struck",
        LUA + "fail.lua",
        "    if why == 'other_code' or why == 'memory' then",
        "    if why == 'memory' then",
        "tests/broker/test_lanes.py -k no_fault",
    ),
    Mutation(
        "whose code",
        "a client asks for no code",
        "simpledist/engine/known.py",
        "        return self.named or self.key.digest\n",
        '        return self.named or ""\n',
        "tests/integration/test_whose_code.py -k edited_file",
    ),
    Mutation(
        "whose code",
        "a call runs here when the function that served by name has gone",
        "simpledist/engine/lanes.py",
        '            return known.lost(call.wanted or "", SETTLED_SECONDS)\n',
        "            return False\n",
        "tests/integration/test_code_on_workers.py -k by_name",
    ),
    Mutation(
        "whose code",
        "an interruption has a digest made",
        "simpledist/engine/routing.py",
        "            if thread.interrupting:\n",
        "            if False:\n",
        "tests/unit/test_own_code.py",
    ),
    Mutation(
        "whose code",
        "what there was no memory for is given up for good",
        "simpledist/engine/own_code.py",
        "        except (RecursionError, MemoryError):\n            return False\n",
        "",
        "tests/unit/test_own_code.py",
    ),
    Mutation(
        "whose code",
        "the thread that calls logs",
        "simpledist/engine/notices.py",
        "        self._put(functools.partial(_outside, done))\n",
        "        done()\n",
        "tests/unit/test_notices.py",
    ),
)
