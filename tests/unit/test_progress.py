"""The tally behind a progress bar: counts, rate and what remains."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from simpledist.client.progress import Bar, Tally


def test_rate_and_remaining_time_follow_the_last_half_minute() -> None:
    tally = Tally(total=1000, now=0.0)
    for second in range(1, 101):  # one a second
        tally.count(float(second), "remote")
    assert tally.rate(100.0) == 1.0
    assert tally.remaining_seconds(100.0) == 900.0
    for tenth in range(1, 401):  # then ten a second
        tally.count(100.0 + tenth / 10, "remote")
    assert tally.rate(140.0) == pytest.approx(10.0)
    assert tally.remaining_seconds(140.0) == pytest.approx(50.0)


def test_a_standstill_lowers_the_rate() -> None:
    tally = Tally(total=20, now=0.0)
    for second in range(1, 11):
        tally.count(float(second), "remote")
    assert tally.rate(20.0) == 0.5
    assert tally.remaining_seconds(20.0) == 20.0


def test_nothing_is_promised_without_a_total_or_before_the_first() -> None:
    assert Tally(total=5, now=0.0).remaining_seconds(3.0) is None
    endless = Tally(total=None, now=0.0)
    endless.count(1.0, "local")
    assert endless.remaining_seconds(2.0) is None
    assert [text for text, _ in endless.parts(2.0)] == ["1", "0.5/s", "remote 0", "local 1", "failed 0"]


def test_the_end_tells_of_all() -> None:
    tally = Tally(total=4, now=0.0)
    tally.count(1.0, "remote")
    tally.count(2.0, "local", failed=True)
    tally.count(3.0, None)
    tally.count(4.0, None, cancelled=True)
    tally.end(8.0)
    assert [text for text, _ in tally.parts(99.0)] == [
        "4/4",
        "0.5/s",
        "in 0:00:08",
        "remote 1",
        "local 1",
        "failed 1",
        "cancelled 1",
    ]


def test_its_page_is_escaped() -> None:
    with Bar("<b>&", console=Console(file=io.StringIO())) as bar:
        assert "<b>&lt;b&gt;&amp;</b> <progress >" in bar._repr_html_()  # type: ignore[reportPrivateUsage]
