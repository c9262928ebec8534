"""What `top` shows and what its keys do, without a terminal: any size, any names, any number of rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simpledist.cli.live.panes import short, span, track
from simpledist.cli.live.rates import Meter
from simpledist.cli.live.screen import View, lines, press
from simpledist.monitor import Dropped, FunctionState, RedisState, RunningJob, Snapshot, WorkerState


def function(name: str, queued: int = 0, **counters: int) -> FunctionState:
    return FunctionState(name, name, None, queued, 0, 1, queued / 10, counters)


def worker(id: str, *, slots: int = 4, label: str = "", health: str = "alive") -> WorkerState:
    return WorkerState(id, label or id, "host", 1, slots, 0, 0.5, health, False, (), "3.11.7", 10.0)


def snapshot(*functions: FunctionState, time: float = 100.0, workers: tuple[WorkerState, ...] = ()) -> Snapshot:
    return Snapshot(RedisState(ok=True, version="7.0.15"), time=time, functions=functions, workers=workers)


def shown(now: Snapshot, view: View | None = None, *, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in lines(view or View(), now, Meter(), title="top", width=width, height=height)]


def typed(view: View, *keys: str) -> View:
    for key in keys:
        view = press(view, key, 10)
    return view


def column(rows: list[str], names: tuple[str, ...]) -> list[str]:
    """Those of `names` that begin a line, in their order."""
    return [name for row in rows for name in names if row.split(" ")[0] == name]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 10), (20, 5), (400, 100)])
def test_it_fills_the_screen_and_never_more(width: int, height: int) -> None:
    crowd = snapshot(
        *(function(f"function_{n}", n) for n in range(300)),
        workers=tuple(worker(f"w{n}", slots=64, label="wörker 工人 " * 4) for n in range(1000)),
    )
    for view in (View(), View(focus="workers"), typed(View(), "/", "x"), typed(View(), "down")):
        all_lines = lines(view, crowd, Meter(), title="top", width=width, height=height)
        assert len(all_lines) == height
        assert all(line.cell_len <= width for line in all_lines)
        assert all("\n" not in line.plain for line in all_lines)


def test_what_is_left_out_has_a_line_and_only_then() -> None:
    lost = (Dropped("simpledist:workers", "cannot be read", 3), Dropped("simpledist:offers:fib", "are too long", 1))
    head = "left out: 3 elements of simpledist:workers cannot be read"
    for dropped, line in (((), ""), (lost[:1], f"{head} (simpledist doctor)"), (lost, f"{head}, and of 1 more (")):
        found = lines(View(), snapshot(function("a")), Meter(), dropped=dropped, title="top", width=100, height=24)
        assert len(found) == 24
        assert [one.plain for one in found if one.plain.startswith(line)] if line else "left out" not in str(found)
        assert all(one.cell_len <= 100 for one in found)


def test_functions_come_by_queue_and_by_any_column_forth_and_back() -> None:
    now = snapshot(function("a", 1), function("b", 30), function("c", 2))
    names = ("a", "b", "c")
    assert column(shown(now), names) == ["b", "c", "a"]
    assert column(shown(now, typed(View(), "r")), names) == ["a", "c", "b"]
    by_name = View(functions=replace(View().functions, sort=0))
    assert column(shown(now, by_name), names) == ["a", "b", "c"]
    assert typed(View(), "s", "S").functions.sort == View().functions.sort
    assert column(shown(now, typed(by_name, "S", "s")), names) == ["a", "b", "c"], "columns go round"


def test_a_filter_is_typed_kept_and_cleared() -> None:
    now = snapshot(function("fib"), function("primes"))
    names = ("fib", "primes")
    view = typed(View(), "/", "F", "i", "q", "backspace")
    assert view.typing
    assert not view.ended, "q is text while the filter is typed"
    assert column(shown(now, view), names) == ["fib"]
    assert "filter functions: Fi" in shown(now, view)[-1]
    view = typed(view, "enter")
    assert column(shown(now, view), names) == ["fib"]
    assert "filter Fi" in shown(now, view)[-1]
    assert column(shown(now, typed(view, "escape")), names) == ["fib", "primes"]


def test_the_pane_in_focus_has_the_keys_and_the_room() -> None:
    now = snapshot(*(function(f"f{n}") for n in range(50)), workers=tuple(worker(f"w{n}") for n in range(50)))
    workers = tuple(f"w{n}" for n in range(50))
    few, many = (len(column(shown(now, view), workers)) for view in (View(), typed(View(), "tab")))
    assert few < 8
    assert many > 10
    assert typed(View(), "tab", "s").functions == View().functions


def test_scrolling_ends_at_both_ends() -> None:
    now = snapshot(*(function(f"f{n:02}", 100 - n) for n in range(50)))
    names = tuple(f"f{n:02}" for n in range(50))
    assert column(shown(now, typed(View(), "up")), names)[0] == "f00"
    assert column(shown(now, typed(View(), "down", "down")), names)[0] == "f02"
    assert column(shown(now, typed(View(), *["page down"] * 20)), names)[-1] == "f49"
    assert typed(View(), "page down", "home").functions.offset == 0


def test_rates_are_of_the_last_seconds_and_begin_anew_with_an_emptied_redis() -> None:
    meter = Meter()
    for second in range(10):
        counted = function("f", returned=20 * second, raised=5 * second, **{"local:no_worker": 10 * second})
        meter.add(snapshot(counted, time=100.0 + second))
    rates = meter.each()["f"]
    assert (rates.calls, rates.raised, rates.local) == (35.0, 5.0, 10.0)
    assert meter.all().calls == 35.0
    meter.add(snapshot(function("f"), time=111.0))
    assert meter.each() == {}


def test_a_lane_has_a_cell_a_slot() -> None:
    running = [
        RunningJob("fib", "c-1", "w", 2, 1, 0.1),
        RunningJob("sleep", "c-2", "w", None, 1, 0.1),
        RunningJob("fib", "c-3", "w", 2, 1, 0.1),
        RunningJob("fib", "c-4", "w", 99, 1, 0.1),
    ]
    assert track(worker("w"), running[:1]).plain == "··f·"
    assert sorted(track(worker("w"), running).plain) == ["f", "f", "f", "s"]
    assert track(worker("w", slots=0), running).plain == ""


def test_redis_away_is_said_above_what_was_known() -> None:
    now = replace(snapshot(function("fib", 3)), redis=RedisState(ok=False, error="connection refused"))
    assert "Redis is away: connection refused" in shown(now)[0]
    assert column(shown(now), ("fib",)) == ["fib"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0.0s"), (9.94, "9.9s"), (59, "59s"), (600, "10m"), (90_000, "25h")])
def test_a_span_is_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_eighty_columns_show_why_calls_ran_at_their_clients_and_cut_no_number() -> None:
    busy = function("fib", 117, **{"local:no_worker": 40, "local:undecodable": 1_234_567})
    ill = replace(worker("w1", label="alder"), functions=("fib",), mismatched=("fib",))
    all_lines = shown(snapshot(busy, function("integrate_all", 12_345_678), workers=(ill,)), width=80)
    assert all(len(line) <= 80 for line in all_lines)
    assert any("why local" in line for line in all_lines)
    assert any(line.startswith("fib ") and "117" in line and "1.2M undecodable" in line for line in all_lines)
    assert any("12.3M" in line for line in all_lines)
    assert any("alder" in line and "other code" in line for line in all_lines)
    assert all_lines[1].rstrip().endswith(("local/s 0.0", "calls/s 0.0"))
    assert all_lines[-1].rstrip().endswith("pause")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (9999, "9999"), (12_345, "12.3k"), (1e6, "1.0M"), (3e9, "3.0G")]
)
def test_a_number_is_short(number: float, text: str) -> None:
    assert short(number) == text
