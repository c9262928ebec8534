"""drain: an operator's word reaches workers that live, and no others."""

from __future__ import annotations

from tests.broker.bench import Bench


def control(bench: Bench, worker: str = "w1") -> list[bytes]:
    return bench.redis("LRANGE", bench.keys.control(worker), 0, -1)


def test_a_worker_hears_of_it_until_it_drains(bench: Bench) -> None:
    bench.worker()
    assert bench.broker.drain(["w1"]) == ["asked"]
    assert bench.broker.drain(["w1"]) == ["asked"], "a word may be lost"
    assert control(bench) == [b"drain", b"drain"]
    bench.broker.leave("w1", final=False)
    assert bench.broker.drain(["w1"]) == ["draining"]
    assert len(control(bench)) == 2


def test_what_does_not_live_is_named_as_such_and_gets_no_list(bench: Bench) -> None:
    bench.worker()
    bench.advance(11)
    bench.reap(workers=[("w1", "")])
    assert bench.broker.drain(["w1", "w9"]) == ["dead", "gone"]
    assert control(bench) == control(bench, "w9") == []
