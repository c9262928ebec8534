"""Calls that share an outcome (`join=True`, `cache=`) while replies to one of their clients are lost on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.conftest import Wires
from tests.faults.functions import work
from tests.faults.history import offered, probe
from tests.faults.proxy import Spoiling

LOSSES: tuple[Spoiling, ...] = ("cut", "swallow", "truncate")


def values(futures: list[Any]) -> list[str]:
    return [future.result(10) for future in futures]


@pytest.mark.parametrize("verb", ["submit", "BLPOP", "nudge"])
def test_a_joined_calls_reply_is_lost_and_all_who_wait_get_the_value(wires: Wires, verb: str) -> None:
    with wires.cluster.connect() as other:
        probe(other)
        for spoiling in LOSSES:
            n = next(wires.numbers)
            wires.client_proxy.strike(verb, spoiling)
            joined = [
                offered(client, "work", work.work, join=True).submit(n, 1.2)  # a nudge comes after a second
                for client in (wires.client, other, wires.client, other)
            ]
            assert values(joined) == [work.value_of(n)] * 4
            assert verb in wires.client_proxy.struck
            wires.client_proxy.relent()
            wires.client_proxy.struck.clear()
            # Whose submission was lost may submit it once more after its end.
            assert work.runs(wires.history.log)[n] <= 2
            probe(wires.client)


@pytest.mark.parametrize("spoiling", LOSSES)
def test_a_cached_value_that_is_lost_on_its_way_is_asked_for_again(wires: Wires, spoiling: Spoiling) -> None:
    n = next(wires.numbers)
    kept = offered(wires.client, "work", work.work, cache=60.0)
    assert kept(n, 0.0) == work.value_of(n)
    wires.client_proxy.strike("submit", spoiling)
    assert kept(n, 0.0) == work.value_of(n)
    assert wires.client_proxy.struck == ["submit"]
    assert kept(n, 0.0) == work.value_of(n)
    assert work.runs(wires.history.log)[n] == 1, "it is kept, not computed again"
    assert kept.cache_clear() == 1
