"""What the verbs count: once, in the script that makes it happen, by the minute, within bounds."""

from __future__ import annotations

from simpledist import policy
from simpledist.broker.records import Ended, Failed, Wish
from simpledist.broker.worker_stats import WorkerStats
from tests.broker.bench import Bench

ERROR = "ValueError: no\nfns.py:31 in throw\nTraceback (most recent call last):\n  ...\nValueError: no"


def meta(bench: Bench, function: str = "fib") -> dict[str, int]:
    """The function's counters."""
    fields = bench.hash(bench.keys.named("meta", function))
    return {
        name: int(value)
        for name, value in fields.items()
        if name not in ("stamp", "witness", "minute", "reaped", "idle")
    }


def rows(bench: Bench, function: str = "fib") -> dict[int, dict[str, int]]:
    """minute -> what it added."""
    history = bench.hash(bench.keys.named("history", function))
    found: dict[int, dict[str, int]] = {}
    for slot, row in history.items():
        if slot != "mark":
            minute, *words = row.split(" ")
            assert int(slot) == int(minute) % policy.HISTORY_MINUTES
            found[int(minute)] = {name: int(value) for name, value in (word.split("=") for word in words if word)}
    return found


def recent(bench: Bench, function: str = "fib") -> list[list[str]]:
    key = bench.keys.named("recent", function)
    return [line.decode().split(" ") for line in bench.redis("LRANGE", key, 0, -1)]


def failures(bench: Bench, function: str = "fib") -> dict[str, str]:
    return bench.hash(bench.keys.named("failures", function))


def run(bench: Bench, *ids: str, seconds: float = 0.1, error: str = "") -> None:
    """Submit, claim and end these jobs, after so long."""
    bench.submit(*ids)
    claimed = bench.claim(len(ids))
    bench.advance(seconds)
    kind = "error" if error else "value"
    ended = [Ended(one.held, kind, b"outcome", round(seconds * 1000), error) for one in claimed]
    bench.broker.complete("w1", bench.nonce(), ended)


def test_a_batch_counts_each_job_once_in_totals_and_histograms(bench: Bench) -> None:
    bench.worker()
    run(bench, "c1-1", "c1-2", "c1-3")
    run(bench, "c1-4", error=ERROR)
    counted = meta(bench)
    assert (counted["submitted"], counted["succeeded"], counted["failed"]) == (4, 3, 1)
    interval = policy.BOUNDS_MS.index(100) + 1
    assert (counted["run_ms"], counted[f"run:{interval}"]) == (400, 4)
    assert (counted.get("wait_ms", 0), counted["wait:1"]) == (0, 4)


def test_intervals_begin_above_the_bound_before_and_end_with_their_own(bench: Bench) -> None:
    bench.worker()
    for number, ms in enumerate((0, 1, 2, 100, 101, 700_000, 700_001)):
        run(bench, f"c1-{number}", seconds=ms / 1000)
        bench.broker.nudge("c1", "run1:200", [])
        bench.worker()
    hundred, last = policy.BOUNDS_MS.index(100) + 1, len(policy.BOUNDS_MS)
    counted = meta(bench)
    found = {name: number for name, number in counted.items() if name.startswith("run:")}
    assert found == {
        "run:1": 2,
        "run:2": 1,
        f"run:{hundred}": 1,
        f"run:{hundred + 1}": 1,
        f"run:{last}": 1,
        f"run:{last + 1}": 1,
    }


def test_a_verb_sent_again_counts_nothing_twice(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.submit("c1-1")
    claimed = bench.broker.claim("w1", "n", "fib", [], [0])
    bench.broker.claim("w1", "n", "fib", [], [0], again=True)
    ended = [Ended(claimed[0].held, "value", b"value", 5)]
    for again in (False, True):
        bench.broker.complete("w1", "m", ended, again=again)
    counted = meta(bench)
    assert (counted["submitted"], counted["succeeded"], counted["run_ms"], counted["wait:1"]) == (1, 1, 5, 1)
    assert len(recent(bench)) == 1


def test_a_job_that_is_claimed_again_counts_one_wait(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    released, crashed = bench.claim(2)
    assert bench.broker.release("w1", [released.held]) == ["requeued"]
    assert bench.broker.fail("w1", [Failed(crashed.held, "crashed")]) == ["requeued"]
    assert len(bench.claim(2)) == 2
    assert sum(n for name, n in meta(bench).items() if name.startswith("wait:")) == 2


def test_a_minute_becomes_a_row_when_the_next_one_counts_something(bench: Bench) -> None:
    bench.worker()
    first = bench.now_ms // 60_000
    run(bench, "c1-1", "c1-2")
    assert rows(bench) == {}
    bench.advance(180)
    bench.worker()
    run(bench, "c1-3", error=ERROR)
    assert list(rows(bench)) == [first]
    assert rows(bench)[first]["succeeded"] == 2
    bench.advance(60)
    bench.broker.ack("c1", [], {("fib", "no_worker"): 7})
    assert set(rows(bench)) == {first, first + 3}
    assert rows(bench)[first + 3]["failed"] == 1
    assert "succeeded" not in rows(bench)[first + 3], "only what that minute added"
    assert meta(bench)["local:no_worker"] == 7


def test_when_workers_were_last_sent_a_word_is_no_count(bench: Bench) -> None:
    bench.worker()
    run(bench, "c1-1")
    for wish in (Wish(digest="b" * 16), Wish(protocol=9)):
        bench.broker.submit("fib", "c1", "run1:200", [("c1-2", b"call")], wish=wish)
    sent = {name for name in bench.hash(bench.keys.named("meta", "fib")) if name.endswith("_sent_at")}
    assert sent == {"other_code_sent_at", "protocol_sent_at"}
    bench.advance(60)
    bench.worker()
    run(bench, "c1-3")
    (row,) = rows(bench).values()
    assert not sent & row.keys()


def test_a_history_that_is_gone_does_not_come_back_as_one_huge_minute(bench: Bench) -> None:
    bench.worker()
    run(bench, "c1-1", "c1-2")
    bench.redis("DEL", bench.keys.named("history", "fib"))
    for minutes in (1, 1):
        bench.advance(60 * minutes)
        bench.broker.ack("c1", [], {("fib", "closed"): 1})
    assert [row.get("succeeded", 0) for row in rows(bench).values()] == [0]
    assert meta(bench)["succeeded"] == 2


def test_the_ring_holds_a_day_and_no_more(bench: Bench) -> None:
    for _ in range(policy.HISTORY_MINUTES + 20):
        bench.advance(60)
        bench.broker.ack("c1", [], {("fib", "no_worker"): 1})
    assert len(rows(bench)) == policy.HISTORY_MINUTES
    assert {row["local:no_worker"] for row in rows(bench).values()} == {1}


def test_the_longest_queue_of_a_minute_is_kept_however_many_look(bench: Bench) -> None:
    bench.worker()
    bench.submit(*[f"c1-{number}" for number in range(5)])
    for _ in range(24):
        bench.advance(0.25)
        bench.reap()
        bench.reap()
    assert meta(bench)["max_queued"] == 5
    assert meta(bench)["max_wait_ms"] > 1000
    bench.claim(5)
    for _ in range(24):
        bench.advance(0.25)
        bench.broker.reap(run_id="", functions=("fib",))
    assert (meta(bench)["max_queued"], meta(bench)["max_running"]) == (5, 5)


def test_an_attempt_is_remembered_with_its_lane_and_times(bench: Bench) -> None:
    bench.worker()
    begin = bench.now_ms
    bench.submit("c1-1")
    bench.advance(2)
    claimed = bench.broker.claim("w1", bench.nonce(), "fib", [], [3])
    bench.advance(1)
    bench.broker.complete("w1", bench.nonce(), [Ended(claimed[0].held, "value", b"value", 950)])
    times = [str(begin), str(begin + 2000), str(begin + 3000)]
    assert recent(bench) == [["c1-1", "succeeded", "w1", "3", "1", *times, "950", "-"]]


def test_lost_and_crashed_attempts_are_remembered_and_the_trail_names_them(bench: Bench) -> None:
    bench.worker("w1")
    bench.submit("c1-1")
    submitted = str(bench.now_ms)
    claimed = bench.claim()[0]
    bench.broker.fail("w1", [Failed(claimed.held, "crashed", "the child died: signal 11")])
    bench.claim()
    bench.advance(10.5)
    bench.broker.nudge("c1", "run1:200", [("fib", "c1-1")])
    bench.worker("w2")
    bench.claim(worker="w2")
    assert [(line[1], line[2], line[9]) for line in recent(bench)] == [
        ("requeued", "w1", "lost"),
        ("requeued", "w1", "crashed"),
    ]
    assert {line[5] for line in recent(bench)} == {submitted}, "submitted once, however often requeued"
    trail = bench.job("c1-1")["trail"].strip(";").split(";")
    assert [(line.split(" ")[0], line.split(" ")[4]) for line in trail] == [("w1", "crashed"), ("w1", "lost")]
    assert list(failures(bench)) == ["crashed the child died: signal #"]


def test_recent_attempts_are_capped_in_one_batch_and_over_many(bench: Bench) -> None:
    bench.worker()
    for batch in range(2):
        run(bench, *[f"c1-{batch * 600 + number}" for number in range(600)])
    lines = recent(bench)
    assert policy.RECENT_CAP <= len(lines) <= policy.RECENT_CAP + policy.RECENT_SPARE
    assert lines[0][0] == "c1-1199", "newest first"


def test_failures_are_grouped_with_one_traceback_and_capped(bench: Bench) -> None:
    bench.worker()
    run(bench, "c1-1", error=ERROR)
    first = bench.now_ms
    bench.advance(5)
    run(bench, "c1-2", "c1-3", error=ERROR)
    head, _, traceback = failures(bench)["ValueError fns.py:31 in throw"].partition("\n")
    assert head == f"3 {first} {bench.now_ms} c1-3"
    assert traceback.startswith("Traceback")
    assert bench.job("c1-1")["error"] == "ValueError: no", "a job keeps the line alone"
    for number in range(60):
        run(bench, f"c1-{10 + number}", seconds=0, error=f"E{number}: x\nplace\ntrace")
    groups = failures(bench)
    assert len(groups) == policy.FAILURES_CAP + 1
    assert groups["others -"].split(" ")[0] == "21"


def test_readers_learn_what_changed(bench: Bench) -> None:
    bench.worker("w1", "fib", "gcd@2")
    began = bench.now_us
    bench.advance(1)
    bench.submit("c1-1")
    stamps = bench.redis("ZRANGE", bench.keys.active, 0, -1, "WITHSCORES")
    flat = [part for one in stamps for part in one] if isinstance(stamps[0], list | tuple) else stamps
    times = {name.decode(): int(float(score)) for name, score in zip(flat[::2], flat[1::2], strict=True)}
    assert times == {"gcd@2": began, "fib": bench.now_us}


def test_beats_bring_stats_and_add_up_to_a_pulse(bench: Bench) -> None:
    row = {"host": "here", "functions": ["fib"], "slots": 4, "connection": "run1:1"}
    bench.broker.beat("w1", "run1:1", [], row, ["fib"], slots=4, stats=WorkerStats(0, 1000, 0).text)
    bench.broker.beat("w1", "run1:1", [], slots=4, stats=WorkerStats(2, 1200, 7).text)
    bench.submit("c1-1", "c1-2")
    held = [one.held for one in bench.claim(2)]
    bench.broker.beat("w1", "run1:1", held, slots=4)
    bench.broker.beat("w1", "run1:1", held, slots=1)
    assert bench.hash(bench.keys.vitals) == {"w1": WorkerStats(2, 1200, 7).text}
    minute = bench.now_ms // 60_000
    pulse = bench.hash(bench.keys.named("pulse", str(minute // 60)))
    names = {"4:0": "2", "4:2": "1", "1:1": "1"}
    assert pulse == {f"{minute % 60}:{name}": beats for name, beats in names.items()}, "no more is held than slots"
    bench.broker.leave("w1", final=True)
    assert bench.hash(bench.keys.vitals) == {}


def test_a_worker_that_drains_says_so_in_its_row(bench: Bench) -> None:
    bench.worker()
    for _ in range(2):
        bench.broker.leave("w1", final=False)
    assert bench.hash(bench.keys.workers)["w1"].count('"draining":') == 1


def test_a_row_that_speaks_of_a_function_called_dead_is_no_dead_row(bench: Bench) -> None:
    seen = {"dead": 1, "draining": 2}
    row = {"functions": ["dead"], "mismatched": seen, "connection": "run1:1", "last": seen}
    bench.broker.beat("w1", "run1:1", [], row, ["dead"])
    assert bench.submit("c1-1", function="dead") == ["queued"]
    assert len(bench.claim(function="dead")) == 1
    bench.broker.leave("w1", final=False)
    assert '"draining":1' in bench.hash(bench.keys.workers)["w1"]
    bench.advance(11)
    bench.broker.reap(run_id="", workers=[("w1", "")])
    bench.broker.leave("w1", final=False)
    assert bench.broker.beat("w1", "run1:1", []).known is False


def test_the_calls_of_a_batch_are_counted_one_by_one(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    claimed = bench.claim()[0]
    ended = [Ended(claimed.held, "value", b"outcomes", 400, f"batch 38 2\n{ERROR}")]
    bench.broker.complete("w1", bench.nonce(), ended)
    counted = meta(bench)
    interval = policy.BOUNDS_MS.index(10) + 1
    assert (counted["returned"], counted["raised"], counted["succeeded"]) == (38, 2, 1)
    assert (counted["run_ms"], counted[f"run:{interval}"]) == (400, 40)
    assert failures(bench)["ValueError fns.py:31 in throw"].startswith("2 ")
    assert "error" not in bench.job("c1-1"), "the batch itself succeeded"
