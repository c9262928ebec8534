"""What a queued job weighs in Redis: counted as Redis counts it, so that nothing grows unseen."""

from __future__ import annotations

from typing import cast

from simpledist import job, wire
from simpledist.policy import BATCH_ITEMS
from simpledist.wire.keyring import Keyring
from tests.broker.bench import Bench

JOBS = 10_000
BYTES = 620  # 585 were reached on Redis 7.0 and 581 on 6.2; 650 are promised
CODE = "0123456789abcdef" * 2  # the digest of its function, as long as they are


def used_bytes(bench: Bench) -> int:
    lines = cast("bytes", bench.redis("INFO", "memory")).decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("used_memory:"))


def test_a_queued_job_with_a_small_call_weighs_little(real_bench: Bench) -> None:
    bench = real_bench
    bench.worker("w1", "increment")
    client = job.new_client_id()
    before = used_bytes(bench)
    for first in range(0, JOBS, BATCH_ITEMS):
        calls = [(f"{client}-{number:x}", sealed(number % 200)) for number in range(first, first + BATCH_ITEMS)]
        bench.broker.submit("increment", client, "-", calls)
    assert len(bench.ledger("increment")) == JOBS
    assert (used_bytes(bench) - before) / JOBS <= BYTES


def sealed(argument: int) -> bytes:
    body = wire.encode_arguments("pickle", (argument,))
    sealed_at_ms = 1_800_000_000_000
    call = wire.seal_call("increment", "pickle", body, Keyring(), CODE, nonce=wire.nonce(), sealed_at_ms=sealed_at_ms)
    return bytes(call.data)
