"""What a worker says of itself in a heartbeat: named fields, whatever stands in Redis in their place."""

from __future__ import annotations

import pytest

from simpledist.broker.worker_stats import WorkerStats


def test_stats_are_read_as_they_were_written() -> None:
    for stats in (WorkerStats(), WorkerStats(at_work=0), WorkerStats(2, 1200, 7)):
        assert WorkerStats.read(stats.text) == stats


@pytest.mark.parametrize("text", [None, "", "2 1200 7", "[1]", "null", "[" * 5000, '{"other": 3}', '{"at_work": "2"}'])
def test_what_is_no_number_is_not_known(text: str | None) -> None:
    assert WorkerStats.read(text) == WorkerStats()


def test_a_field_that_is_odd_spoils_no_other() -> None:
    text = '{"at_work": true, "memory_bytes": 1e5, "jobs_done": 7}'
    assert WorkerStats.read(text) == WorkerStats(jobs_done=7)
    assert WorkerStats.read(f'{{"at_work": {10**30}, "jobs_done": 7}}') == WorkerStats(jobs_done=7)
