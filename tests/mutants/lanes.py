"""Mutations of lanes, the question `live` and refusals."""

from __future__ import annotations

from tests.mutants.mutation import LUA, Mutation

MUTATIONS = (
    Mutation(
        "lanes",
        "other code takes the plain lane while jobs wait on it",
        LUA + "_offers.lua",
        "local free = not owner or owner == code or not in_use(fn, known)",
        "local free = true",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "lanes",
        "a call goes to whatever code offers its lane",
        LUA + "_offers.lua",
        "if wish.digest and not string.find(offer, wish.digest, 1, true) then return 'other_code' end",
        "",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "lanes",
        "nobody hears of a lane with a priority",
        LUA + "submit.lua",
        "if fn ~= code_lane(fn) then open_lane(fn) end",
        "",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "lanes",
        "low lanes never come first",
        "simpledist/worker/turns.py",
        "low_first = self._classes > 1 and self._pops % policy.LOW_FIRST_EVERY == 0",
        "low_first = False",
        "tests/unit/test_lane.py",
    ),
    Mutation(
        "protocol",
        "builds with other numbers meet",
        LUA + "_offers.lua",
        "if not string.find(offer, wish.protocol, 1, true) then",
        "if false then",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "key ids",
        "a call is queued that no worker can open",
        LUA + "_offers.lua",
        "if not string.find(offer, wish.key, 1, true) then",
        "if false then",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "refusals",
        "a refused job ends at its client",
        LUA + "fail.lua",
        "elseif refused and goes_to_another(fn, job) then",
        "elseif false then",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "refusals",
        "the refuser gets the job again",
        LUA + "_prelude.lua",
        "if job.refused_by and is_for_another(order, job) then return false end",
        "",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "refusals",
        "nobody is struck",
        LUA + "complete.lua",
        "if job.refused_by then strike_refusers(fn, job) end",
        "",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "refusals",
        "a job may be refused for ever",
        LUA + "fail.lua",
        "return n < REFUSAL_CAP and another_takes(fn, refusers)",
        "return another_takes(fn, refusers)",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "lost result",
        "an ended job without a result has an outcome",
        LUA + "cancel.lua",
        "words[i] = has_outcome(id, job) and 'ended' or 'gone'",
        "words[i] = 'ended'",
        "tests/broker/test_lanes.py",
    ),
    Mutation(
        "lost result",
        "a lost result is taken for a deaf connection",
        "simpledist/client/listener.py",
        "isinstance(word, Reply) and not word.lost",
        "isinstance(word, Reply)",
        "tests/faults/test_memory.py -k lost_result",
    ),
)
