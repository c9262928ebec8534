"""What a client tells of calls that wait or run at it: their average, and what the read model makes of the rows."""

from __future__ import annotations

import json

import pytest

from simpledist.broker import client_demand
from simpledist.broker.client_demand import AtClient
from simpledist.engine import demand as module
from simpledist.engine.demand import WINDOW_SECONDS, Demand
from simpledist.engine.known import Key
from simpledist.monitor.demand import COUNTS_SECONDS, jobs_at_clients


class Call:
    """What the room knows of a future."""

    ended = False

    def done(self) -> bool:
        return self.ended


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def sent(demand: Demand, now: list[float], **waiting: int) -> dict[str, AtClient]:
    text = demand.text(now[0], {Key(name): number for name, number in waiting.items()})
    row = client_demand.read(f'{{"at":1,"functions":{text}}}')
    assert row is not None, text
    return row[1]


def known(_: str) -> float | None:
    return 0.25


def test_nothing_is_said_where_nothing_runs_or_waits(now: list[float]) -> None:
    demand = Demand(known)
    assert not demand.any()
    assert demand.text(now[0], {}) == ""


def test_what_waits_and_what_runs_is_reported_and_taken_back_once(now: list[float]) -> None:
    demand, call = Demand(known), Call()
    assert sent(demand, now, fib=7) == {"fib": AtClient(7, 0.0, 250.0)}
    demand.begins(call, "fib")
    now[0] += 1.0
    assert sent(demand, now, fib=6) == {"fib": AtClient(6, 1.0, 250.0)}
    demand.ends(call)
    now[0] += 2 * WINDOW_SECONDS
    assert demand.any()
    texts = [demand.text(now[0] + second, {}) for second in range(15)]
    assert texts[-1] == ""
    assert texts.count(client_demand.NOTHING) == 1
    assert not demand.any()


def test_short_runs_count_as_their_average(now: list[float]) -> None:
    demand, average = Demand(known), 0.0
    for _ in range(20):
        for _ in range(5):  # 5 calls of 0.1 s a second
            call = Call()
            demand.begins(call, "fib")
            now[0] += 0.1
            demand.ends(call)
            now[0] += 0.1
        average = sent(demand, now)["fib"].running
        assert average == pytest.approx(0.5, abs=0.3)
    assert average == pytest.approx(0.5, abs=0.06)


def test_a_run_over_many_nudges_is_one(now: list[float]) -> None:
    demand, calls = Demand(known), [Call() for _ in range(3)]
    for call in calls:
        demand.begins(call, "fib")
    for _ in range(30):
        now[0] += 1.0
        assert sent(demand, now)["fib"].running == pytest.approx(3.0, abs=0.01)
    for call in calls:
        demand.ends(call)
    now[0] += 1.0
    assert sent(demand, now)["fib"].running <= 3.0


def test_calls_of_a_map_are_reported_by_the_time_that_they_took(now: list[float]) -> None:
    demand = Demand(known)
    for _ in range(12):
        now[0] += 1.0
        demand.ran("fib", 0.8)
        assert 0.3 < sent(demand, now)["fib"].running < 1.0


def test_a_call_whose_thread_was_torn_away_is_not_reported_for_ever(now: list[float]) -> None:
    demand, call = Demand(known), Call()
    demand.begins(call, "fib")
    call.ended = True
    now[0] += 1.0
    assert demand.text(now[0], {}) == ""
    assert not demand.any()


def test_of_very_many_functions_some_are_reported(now: list[float]) -> None:
    many = {f"f{number:03}": 1 for number in range(2 * client_demand.FUNCTIONS_MOST)}
    assert len(sent(Demand(known), now, **many)) == client_demand.FUNCTIONS_MOST


# --- read --------------------------------------------------------------------------------------------------------


def row(at: float, **functions: AtClient) -> str:
    return f'{{"at":{round(at * 1000)},"functions":{client_demand.text_of(functions)}}}'


def test_clients_are_summed_and_old_rows_count_for_nothing() -> None:
    rows = [
        ("c1", row(1000.0, fib=AtClient(3, 1.0, 100.0), gcd=AtClient(1))),
        ("c2", row(999.0, fib=AtClient(0, 4.0, 1100.0))),
        ("c3", row(999.5 - COUNTS_SECONDS, fib=AtClient(50))),
        ("c4", row(1001.0 + COUNTS_SECONDS, fib=AtClient(50))),
    ]
    found, unreadable = jobs_at_clients(rows, 1000.0)
    assert found == {"fib": AtClient(3, 5.0, 600.0), "gcd": AtClient(1, 0.0, None)}
    assert unreadable == 0


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"at":1}',
        '{"at":"1","functions":{}}',
        '{"at":1,"functions":[]}',
        '{"at":1,"functions":{"fib":3}}',
        '{"at":1,"functions":{"fib":{"waiting":-1,"running":0,"mean_ms":null}}}',
        '{"at":1,"functions":{"fib":{"waiting":1e99,"running":0,"mean_ms":null}}}',
        '{"at":1,"functions":{"fib":{"waiting":true,"running":0,"mean_ms":null}}}',
        '{"at":1,"functions":{"fib":{"waiting":1}}}',
        '{"at":1,"functions":{"fib":{"waiting":NaN,"running":0,"mean_ms":null}}}',
        json.dumps({"at": 1, "functions": {"fib": {"waiting": 1, "running": 1, "mean_ms": "x"}}}),
        "[" * 100_000,
    ],
)
def test_what_no_client_wrote_is_left_out(foreign: str) -> None:
    assert client_demand.read(foreign) is None
    assert jobs_at_clients([("c1", foreign)], 0.0) == ({}, 1)
