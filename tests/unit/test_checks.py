"""What the doctor makes of facts that are hard to bring about: a full disk, clocks apart, a slow way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simpledist.cli.checks import Finding, judge
from simpledist.cli.examination import Examination, KeyFile, Leftovers
from simpledist.config import Config
from simpledist.monitor import RedisState, Snapshot, WorkerState

WELL = Examination(
    Snapshot(RedisState(ok=True, version="7.0.15")),
    info={"role": "master", "used_memory": "1000000", "maxmemory": "0", "maxmemory_policy": "noeviction"},
    latency_seconds=0.0002,
    skew_seconds=0.01,
    user="default",
    leftovers=Leftovers((), (), 3, complete=True),
)


def found(facts: Examination, settings: Config | None = None) -> list[Finding]:
    return [one for one in judge(settings or Config(), facts) if not one.ok]


def test_nothing_is_found_where_all_is_well() -> None:
    assert found(WELL) == []


@pytest.mark.parametrize(
    ("facts", "check", "text"),
    [
        (replace(WELL, info={**WELL.info, "rdb_last_bgsave_status": "err"}), "persistence", "rdb_last_bgsave_status"),
        (replace(WELL, sentinels=(("a:1", "r:6379", ""), ("b:1", "", "Sentinel b:1: no"))), "sentinel", "b:1: no"),
        (replace(WELL, sentinels=(("a:1", "r:6379", ""), ("b:1", "s:6379", ""))), "sentinel", "r:6379, s:6379"),
        (replace(WELL, latency_seconds=0.2), "latency", "200 ms"),
        (replace(WELL, skew_seconds=-90.0), "clock", "90 s behind Redis'"),
        (replace(WELL, skew_seconds=90.0), "clock", "90 s ahead of Redis'"),
        (replace(WELL, key_file=KeyFile("key", open_to_others=False, trouble="empty")), "secret", "empty"),
        (replace(WELL, token_file=KeyFile("token", open_to_others=True)), "secret", "token file token is open"),
        (
            replace(
                WELL,
                snapshot=Snapshot(
                    RedisState(ok=True, error="NOPERM this user has no permissions", remedy="docs/acl.md")
                ),
            ),
            "rights",
            "NOPERM",
        ),
    ],
    ids=str,
)
def test_each_fact_is_one_finding_with_a_remedy(facts: Examination, check: str, text: str) -> None:
    (finding,) = found(facts)
    assert (finding.check, finding.ok) == (check, False)
    assert text in finding.text
    assert finding.remedy


def test_an_unsigned_cluster_is_a_finding_only_where_others_reach_redis() -> None:
    (finding,) = found(WELL, Config(url="redis://:secret@example.com", insecure=True))
    assert finding.check == "secret"
    assert "secret@" not in finding.text
    assert found(replace(WELL, key_file=KeyFile("key", open_to_others=False)), Config(url="redis://example.com")) == []


def test_a_user_that_may_not_scan_is_told_so_and_blamed_for_nothing() -> None:
    judged = judge(Config(), replace(WELL, leftovers=None, user="dashboard"))
    assert all(one.ok for one in judged)
    assert any("user dashboard may not SCAN" in one.text for one in judged)


@pytest.mark.parametrize(
    ("kind", "condition", "remedy"),
    [("children", "no child", "child processes"), ("commands", "stuck", "docs/acl.md")],
)
def test_a_worker_in_trouble_gets_the_remedy_of_its_own_trouble(kind: str, condition: str, remedy: str) -> None:
    worker = WorkerState(
        "w", "w", "h", 1, 4, 0, 0.5, "alive", False, (), "3.11.7", 10.0, trouble="why", trouble_kind=kind
    )
    [one] = found(replace(WELL, snapshot=replace(WELL.snapshot, workers=(worker,))))
    assert worker.condition == condition
    assert remedy in one.remedy
