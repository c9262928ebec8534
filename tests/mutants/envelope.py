"""Mutations of the envelope, its nonce and its clocks."""

from __future__ import annotations

from tests.mutants.mutation import LUA, Mutation

ENVELOPE = "simpledist/wire/envelope.py"
REPLAYS = "tests/security/test_replays.py"

MUTATIONS = (
    Mutation(
        "nonce of a call",
        "equal calls have equal digests",
        ENVELOPE,
        "kind == _CHUNK) + nonce)",
        "kind == _CHUNK))",
        f"{REPLAYS} -k later_call",
    ),
    Mutation(
        "nonce of a call",
        "each attempt has another nonce",
        "simpledist/client/envelopes.py",
        "if not call.nonce:",
        "if True:",
        f"{REPLAYS} -k half_a_day",
    ),
    Mutation(
        "nonce of a call",
        "a forked child goes on with its parent's",
        "simpledist/wire/nonces.py",
        "after_in_child=_drawn.clear",
        "after_in_child=list",
        "tests/unit/test_nonces.py",
    ),
    Mutation(
        "namespace",
        "what one namespace signed is good in another",
        "simpledist/signing.py",
        "blake2b(self._namespace, key=key",
        "blake2b(key=key",
        f"{REPLAYS} -k namespace",
    ),
    Mutation(
        "age of an outcome",
        "a shared outcome of any age is accepted",
        ENVELOPE,
        "if made_at_ms < not_before_ms:",
        "if False:",
        f"{REPLAYS} -k 'asks_later or older_than'",
    ),
    Mutation(
        "age of an outcome",
        "a client forgets that it cleared a cache",
        "simpledist/client/client.py",
        "self._outcomes.envelopes.cleared(function, cleared.at_ms)",
        "pass",
        f"{REPLAYS} -k after_a_clear",
    ),
    Mutation(
        "age of an outcome",
        "a forked child forgets that its parent cleared a cache",
        "simpledist/client/client.py",
        "self._outcomes.envelopes.inherit(outcomes.envelopes)",
        "pass",
        f"{REPLAYS} -k child_of_a_fork",
    ),
    Mutation(
        "age of an outcome",
        "what is too old is asked for in the same way for ever",
        "simpledist/client/outcomes.py",
        "if call.anew or not cached:",
        "if False:",
        f"{REPLAYS} -k 'for_ever or asks_later'",
    ),
    Mutation(
        "age of a call",
        "a call of any age is run",
        ENVELOPE,
        "if now_ms - sealed_at_ms > policy.CALL_LIFE_SECONDS * 1000:",
        "if False:",
        f"{REPLAYS} -k over_a_day_ago",
    ),
    Mutation(
        "age of a call",
        "a call that waits long is not sealed anew",
        "simpledist/client/envelopes.py",
        "age_ms > policy.RESEAL_SECONDS * 1000",
        "False",
        f"{REPLAYS} -k half_a_day",
    ),
    Mutation(
        "age of a call",
        "a job that is there keeps its old bytes",
        LUA + "submit.lua",
        "if bytes ~= '' then call('SET', key_call(id), bytes, 'PX', UNFINISHED_MS) end",
        "",
        f"{REPLAYS} -k half_a_day",
    ),
    Mutation(
        "Python of a call",
        "a worker begins a call with code of another Python",
        ENVELOPE,
        "if minor not in (_ANY_MINOR, sys.version_info.minor):",
        "if False:",
        "tests/unit/test_wire.py -k another_python",
    ),
    Mutation(
        "Python of a call",
        "a chunk does not say that a call in it holds code",
        "simpledist/wire/chunks.py",
        "serializers.CODE_MARK not in body:",
        "True:",
        "tests/unit/test_wire.py -k chunk_holds_code",
    ),
    Mutation(
        "Redis' clock",
        "a clock that has jumped is not believed",
        "simpledist/clock.py",
        "if both[0] <= both[1]:",
        "if True:",
        "tests/unit/test_clock.py",
    ),
    Mutation(
        "Redis' clock",
        "a reading that came late counts like any other",
        "simpledist/clock.py",
        "if both[0] <= both[1]:",
        "if False:",
        "tests/unit/test_clock.py",
    ),
)
