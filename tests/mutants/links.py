"""Mutations of deadlines by progress and connections."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "progress",
        "a byte is as good as a reply",
        "simpledist/broker/stream.py",
        "moved += len(data) if patient else 0",
        "moved += 100_000",
        "tests/broker/test_link.py -k drips",
    ),
    Mutation(
        "progress",
        "what moves slowly is silent",
        "simpledist/policy.py",
        "return seconds + moved_bytes / SLOWEST_BYTES",
        "return seconds",
        "tests/broker/test_link.py -k comes_slowly",
    ),
    Mutation(
        "progress",
        "the beats stop while bytes move",
        "simpledist/broker/stream.py",
        "        if self.meanwhile is not None:\n            self.meanwhile()",
        "        return",
        "tests/broker/test_link.py -k meanwhile",
    ),
    Mutation(
        "slices",
        "a value of which the beginning is lost is taken for whole",
        "simpledist/broker/slices.py",
        "if length != at + size:",
        "if False:",
        "tests/broker/test_slices.py -k has_lost",
    ),
    Mutation(
        "slices",
        "slices have no lifetime",
        "simpledist/broker/slices.py",
        'self._send(("SET", self._gathering), size, ("PX", self._lifetime_ms))',
        'self._send(("SET", self._gathering), size, ())',
        "tests/broker/test_slices.py -k lifetime",
    ),
    Mutation(
        "slices",
        "a big value travels as one",
        "simpledist/broker/slices.py",
        "size = min(self._wire.slice_bytes, len(self._value) - at)",
        "size = len(self._value)",
        "tests/faults/test_slow_links.py -k longer_than_any_silence",
    ),
    Mutation(
        "budgets",
        "a link knows no bound",
        "simpledist/broker/stream.py",
        "return min(began + seconds, self.until) - time.monotonic()",
        "return began + seconds - time.monotonic()",
        "tests/broker/test_link.py -k bounds_its_link",
    ),
    Mutation(
        "idle",
        "an idle connection is trusted",
        "simpledist/broker/link.py",
        "if self._renews and self._known and time.monotonic() - stream.used_at > IDLE_SECONDS:",
        "if False:",
        "tests/broker/test_link.py -k idle",
    ),
    Mutation(
        "turns",
        "a big value keeps the connection",
        "simpledist/worker/transfers.py",
        "done = one.steps.step()",
        "done = one.steps.step()\n            while not done:\n                done = one.steps.step()",
        "tests/faults/test_slow_links.py -k result_that_takes",
    ),
)
