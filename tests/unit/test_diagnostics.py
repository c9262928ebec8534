"""What the doctor makes of facts that are hard to bring about: a full disk, clocks apart, a slow way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simpledist.cli.diagnostics.facts import Facts, Leftovers, SecretFile
from simpledist.cli.diagnostics.finding import Finding
from simpledist.cli.diagnostics.report import report
from simpledist.config import Config
from simpledist.monitor import Failure, FunctionState, RedisState, Snapshot, Tally, WorkerState
from simpledist.reasons import REASONS, address, words

WELL = Facts(
    Snapshot(RedisState(ok=True, version="7.0.15")),
    info={"role": "master", "used_memory": "1000000", "maxmemory": "0", "maxmemory_policy": "noeviction"},
    latency_seconds=0.0002,
    skew_seconds=0.01,
    user="default",
    leftovers=Leftovers((), (), 3, complete=True),
)


def found(facts: Facts, settings: Config | None = None) -> list[Finding]:
    return [one for one in report(settings or Config(), facts) if not one.ok]


def test_versions_that_differ_between_workers_are_advice() -> None:
    workers = tuple(
        WorkerState(id, id, "h", 1, 4, 0, 0.5, health, False, ("fib",), "3.11.7", 1.0, distributions=listed)
        for id, health, listed in (
            ("w1", "alive", (("numpy", "2.1.0"), ("pandas", "2.3.1"))),
            ("w2", "late", (("numpy", "1.26.4"), ("pandas", "2.3.1"))),
            ("w3", "dead", (("pandas", "1.5.3"),)),
        )
    )
    facts = replace(WELL, snapshot=Snapshot(RedisState(ok=True, version="7.0.15"), workers=workers))
    (line,) = [one for one in report(Config(), facts) if one.check == "distributions"]
    assert (line.text, line.ok) == ("workers with --any have different versions of numpy (1.26.4, 2.1.0)", True)


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
        (replace(WELL, key_file=SecretFile("key", open_to_others=False, trouble="empty")), "secret", "empty"),
        (replace(WELL, token_file=SecretFile("token", open_to_others=True)), "secret", "token file token is open"),
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
def test_each_fact_is_one_finding_with_a_remedy(facts: Facts, check: str, text: str) -> None:
    (finding,) = found(facts)
    assert (finding.check, finding.ok) == (check, False)
    assert text in finding.text
    assert finding.remedy


def test_an_unsigned_cluster_is_a_finding_only_where_others_reach_redis() -> None:
    (finding,) = found(WELL, Config(url="redis://:secret@example.com", insecure=True))
    assert finding.check == "secret"
    assert "secret@" not in finding.text
    assert (
        found(replace(WELL, key_file=SecretFile("key", open_to_others=False)), Config(url="redis://example.com")) == []
    )


def test_a_user_that_may_not_scan_reads_so_and_is_blamed_for_nothing() -> None:
    checked = report(Config(), replace(WELL, leftovers=None, user="dashboard"))
    assert all(one.ok for one in checked)
    assert any("user dashboard may not SCAN" in one.text for one in checked)


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


def worker(id: str, *functions: str, health: str = "alive", beat: float = 1.0, up: float = 3600.0) -> WorkerState:
    return WorkerState(id, id, "host", 1, 4, 0, beat, health, False, functions, "3.11.7", up)


def cluster_of(*workers: WorkerState, functions: tuple[FunctionState, ...] = ()) -> Facts:
    return replace(WELL, snapshot=replace(WELL.snapshot, workers=workers, functions=functions))


def test_a_worker_that_died_and_was_replaced_is_no_finding() -> None:
    dead = worker("old", "fib", health="dead", beat=300)
    again = worker("older", "fib", health="dead", beat=350, up=500)
    assert found(cluster_of(dead, worker("new", "fib", "pi", up=290))) == []
    assert found(cluster_of(replace(dead, started_seconds=340), again, worker("new", "fib", up=290))) == []


@pytest.mark.parametrize(
    "other",
    [
        worker("earlier", "fib", up=3600),
        worker("of-another-function", "pi", up=290),
        worker("silent", "fib", health="silent", beat=20, up=290),
    ],
    ids=lambda one: one.id,
)
def test_a_worker_that_died_and_is_missed_is_a_finding(other: WorkerState) -> None:
    findings = found(cluster_of(worker("old", "fib", health="dead", beat=300), other))
    assert any("worker old" in one.text and "is dead" in one.text and "5 min ago" in one.text for one in findings)


def test_three_that_died_at_once_need_three_new_ones() -> None:
    dead = [worker(f"old{n}", "fib", health="dead", beat=300) for n in range(3)]
    new = [worker(f"new{n}", "fib", up=290 - n) for n in range(3)]
    assert len(found(cluster_of(*dead, *new[:2]))) == 1
    assert found(cluster_of(*dead, *new)) == []


@pytest.mark.parametrize("why", REASONS)
def test_every_reason_that_no_one_asked_for_is_a_finding_with_its_remedy(why: str) -> None:
    recent = {"pi": Tally({f"local:{why}": 207}), "fib": Tally({f"local:{why}": 3}), "well": Tally({"returned": 9})}
    findings = found(replace(WELL, recent=recent))
    if REASONS[why].asked_for or why == "no_worker":
        assert findings == [], "of no_worker the check of versions reports what is still true"
    else:
        (one,) = findings
        assert one.text.startswith(f"210 calls of pi, fib ran at their clients in the last 10 minutes: {words(why)}")
        assert one.remedy == f"{REASONS[why].remedy} ({address(why)})"


def test_a_reason_is_shown_with_what_the_worker_said_of_it_last() -> None:
    last, before = (
        Failure("pi", "undecodable", f"w1: No module named '{module}'", 1, 0.0, 9.0, "c1-1", "") for module in "xy"
    )
    other = Failure("e", "undecodable", "w2: another function's", 1, 0.0, 9.5, "c1-2", "")
    recent = {"pi": Tally({"local:undecodable": 207})}
    (one,) = found(replace(WELL, recent=recent, failures=(other, last, before)))
    assert one.text.endswith("(undecodable), the latest on worker w1: No module named 'x'")


@pytest.mark.parametrize(
    ("name", "version", "command"),
    [
        ("fib", None, "simpledist-worker MODULE:fib"),
        ("fib", "3", "simpledist-worker MODULE:fib@3"),
        ("simpledist.any", "3.11", "simpledist-worker --any (under Python 3.11)"),
    ],
)
def test_a_function_without_a_worker_gets_a_command_that_works(name: str, version: str | None, command: str) -> None:
    full = name if version is None else f"{name}@{version}"
    one = FunctionState(full, name, version, 1, 0, 0, 5.0, {}, wanted_seconds=9.0)
    queues, versions = found(cluster_of(functions=(one,)))
    assert (queues.check, versions.check) == ("queues", "versions")
    assert queues.text.startswith(f"1 job of {full} is queued")
    assert "called 9 s ago" in versions.text
    assert command in queues.remedy
    assert command in versions.remedy


def test_a_function_without_a_worker_may_have_gone_to_one_that_takes_any() -> None:
    wanted = FunctionState("fib", "fib", None, 0, 0, 0, 0.0, {}, wanted_seconds=9.0)
    taking = FunctionState("simpledist.any@3.11", "simpledist.any", "3.11", 0, 0, 1, 0.0, {})
    (versions,) = found(cluster_of(functions=(wanted, taking)))
    assert versions.remedy.endswith(", unless its calls go to simpledist.any@3.11 since then")
    other = FunctionState("simpledist.any@3.12", "simpledist.any", "3.12", 0, 0, 0, 0.0, {}, wanted_seconds=9.0)
    (versions,) = found(cluster_of(functions=(other, taking)))
    assert versions.remedy == "start one with simpledist-worker --any (under Python 3.12)"
