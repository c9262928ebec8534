"""Every verb, where a key that it touches holds anything: it goes on, or names the key that is not ours to remove."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from simpledist.broker import repairs
from simpledist.broker.broker import BY_NAME
from simpledist.broker.keys import PERMANENT, TEMPLATES
from simpledist.broker.records import Ended, Failed, Held, Reply, Take, job_label
from simpledist.errors import RedisRefused
from tests.broker.bench import Bench

pytestmark = pytest.mark.leaves_keys

KINDS = {
    "string": ("SET", "x"),
    "list": ("RPUSH", "x"),
    "zset": ("ZADD", "-inf", "x"),
    "hash": ("HSET", "x", "x"),
}
GARBAGE = ("x", "", "9" * 40)
NAMES = ("fib", "w1", "w2", "c1", "c1-1", "c1-2", "c1-3", "c1-5", "shared", "other")
OF_ALL = {template for template in PERMANENT if "{" not in TEMPLATES[template]}


def stand(bench: Bench) -> Held:
    """Two workers, one job that w1 holds, three that wait, a kept value; returns what w1 holds."""
    bench.begin_again()
    bench.worker("w1", "fib", "gcd")
    bench.worker("w2")
    bench.broker.submit("fib", "c1", "run1:200", [(label("c1-1", "shared"), b"call")])
    bench.succeed(bench.claim()[0])
    bench.submit("c1-2", "c1-3", "c1-4")
    (held,) = bench.claim()
    bench.broker.submit("fib", "c1", "run1:200", [(label("c1-5", "other"), b"call")])
    bench.broker.nudge("c1", "run1:200", [("fib", "c1-2")])
    bench.reap(workers=[("w2", "run1:101")])
    return held.held


def label(id: str, address: str) -> str:
    return job_label(id, address, join=True, cache_seconds=3600)


def verbs(bench: Bench, held: Held) -> dict[str, Callable[[], object]]:
    """Each verb, and each of its ways that touches other keys."""
    b, mine = bench.broker, f"{bench.link.run_id}:200"
    value, row = Ended(held, "value", b"value", 5), {"functions": ["fib"], "connection": "run1:100"}
    shared = [("c1-7", b"call"), (label("c1-8", "other"), b"call"), (label("c1-9", "shared"), b"call")]
    jobs = [("fib", f"c1-{n}") for n in (2, 3, 4, 5)]
    return {
        "submit": lambda: b.submit("fib", "c1", mine, [("c1-6", b"call")]),
        "submit several": lambda: b.submit("fib", "c1", mine, shared),
        "claim": lambda: b.claim("w1", "n8", "fib", [b"1.c1-3"], [1, 2], deep=3),
        "claim again": lambda: b.claim("w1", "n2", "fib", [], [1], again=True),
        "complete": lambda: b.complete("w1", "n9", [value]),
        "complete and take": lambda: b.complete("w1", "n9", [value], Take("fib", (0,), 2)),
        "complete and be idle": lambda: b.complete("w1", "n9", [value], Take("fib", (0,), 0)),
        "complete: raised": lambda: b.complete("w1", "n9", [Ended(held, "error", b"x", 5, "E: x\nplace\ntrace")]),
        "fail": lambda: b.fail("w1", [Failed(held, "crashed", "x")]),
        "fail: refused": lambda: b.fail("w1", [Failed(held, "undecodable", "x", refused=True)]),
        "release": lambda: b.release("w1", [held]),
        "cancel": lambda: b.cancel("c1", jobs),
        "cancel by an operator": lambda: b.cancel(None, jobs),
        "ack": lambda: b.ack("c1", ["c1-1", "c1-2"], {("fib", "no_worker"): 1}),
        "beat": lambda: b.beat("w1", "run1:100", [held], offered=["fib"], slots=2, stats="x"),
        "beat of an idle one": lambda: b.beat("w1", "run1:100", [], offered=["fib"], slots=2, stats="x"),
        "beat with a row": lambda: b.beat("w1", "run1:100", [held], row, ["fib"]),
        "leave": lambda: b.leave("w1", final=True),
        "leave: a drain": lambda: b.leave("w1", final=False),
        "leave: a client": lambda: b.leave("c1", final=True),
        "nudge": lambda: b.nudge("c1", mine, [*jobs, ("fib", "c1-1")], [("fib", BY_NAME)]),
        "reap": lambda: bench.reap(workers=[("w1", "x")], clients=[("c1", "x")], orphans=[("fib", "c1-3")]),
        "clear": lambda: b.clear("fib"),
        "drain": lambda: b.drain(["w1"]),
        "forget": lambda: b.forget("fib"),
        "disable": lambda: b.disable("fib"),
        "enable": lambda: b.disable("fib", enable=True),
    }


def keys_of(bench: Bench, template: str) -> Iterator[str]:
    if "{" not in TEMPLATES[template]:
        yield bench.keys.prefix + TEMPLATES[template]
        return
    hour = bench.now_ms // 3_600_000
    yield from (bench.keys.named(template, name) for name in (*NAMES, str(hour)))


def put_kind(bench: Bench, key: str, kind: str) -> None:
    """Put a value of another type there."""
    command, *words = KINDS[kind]
    bench.redis("DEL", key)
    bench.redis(command, key, *words)


def put_garbage(bench: Bench, key: str, value: str) -> None:
    """Put what no verb writes into what is there."""
    kind = bench.redis("TYPE", key).decode()
    if kind == "hash":
        for field in (*bench.hash(key), "x"):
            bench.redis("HSET", key, field, value)
    elif kind == "string":
        bench.redis("SET", key, value)
    elif kind == "list":
        bench.redis("LPUSH", key, value)
    elif kind == "zset":
        bench.redis("ZADD", key, "inf", value, "-inf", value + "y", "1e300", "c1-3")


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_content_of_a_key_keeps_a_verb_from_its_end(real_bench: Bench, template: str) -> None:
    bench = real_bench
    held = stand(bench)
    refused: dict[tuple[str, str], str] = {}
    for verb in verbs(bench, held):
        for content in (*KINDS, *GARBAGE):
            held = stand(bench)
            for key in keys_of(bench, template):
                ours = bench.redis("TYPE", key).decode()
                if content in KINDS and ours != content:
                    put_kind(bench, key, content)
                elif content in GARBAGE:
                    put_garbage(bench, key, content)
            bench.advance(0.5)
            try:
                verbs(bench, held)[verb]()
            except RedisRefused as error:
                refused[verb, content] = str(error)
    bench.begin_again()
    if template not in OF_ALL:
        assert not refused
    else:  # another program may have been there first
        key = bench.keys.prefix + TEMPLATES[template]
        assert {text for text in refused.values() if f"WRONGTYPE at {key}: " not in text} == set()
        assert {content for _, content in refused} <= set(KINDS)


@pytest.mark.parametrize("template", ["job", "meta", "queued", "held"])
def test_a_redis_in_memory_is_repaired_as_well(bench: Bench, template: str) -> None:
    for verb in ("submit", "claim", "complete", "beat", "nudge"):
        held = stand(bench)
        for key in keys_of(bench, template):
            put_kind(bench, key, "string")
        verbs(bench, held)[verb]()


def test_what_another_program_has_under_a_name_of_the_whole_namespace_is_not_removed(bench: Bench) -> None:
    bench.redis("SET", bench.keys.clients, "of another program")
    with pytest.raises(RedisRefused, match=f"WRONGTYPE at {bench.keys.clients}: "):
        bench.broker.nudge("c1", "run1:200", [])
    assert bench.redis("GET", bench.keys.clients) == b"of another program"


def test_a_repair_removes_what_cannot_be_read_and_nothing_else(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    held = stand(bench)
    meta, queued, job = bench.keys.named("meta", "fib"), bench.keys.named("queued", "fib"), bench.keys.named("job", "")
    before, waiting = bench.hash(meta), bench.ledger()
    bench.redis("HSET", meta, "succeeded", "x")
    bench.redis("ZADD", queued, "inf", "x")
    bench.redis("HSET", job + "c1-3", "attempts", "x")
    bench.redis("SET", bench.keys.reply("c1"), "x")
    with caplog.at_level(logging.WARNING):
        assert bench.succeed(bench.claim()[0]) == "succeeded"  # c1-4: the row of c1-3 is no job's
    (line,) = caplog.messages
    for place in (f"fields of {meta}", f"fields of {queued}", job + "c1-3", bench.keys.reply("c1")):
        assert place in line
    assert bench.state("c1-3") is None
    assert bench.state("c1-4") == "succeeded"
    assert bench.state(held.id) == "running"
    after = bench.hash(meta)
    assert after["succeeded"] == "1"  # it begins anew
    assert after["submitted"] == before["submitted"]
    assert [id for id in bench.ledger() if id != "c1-3"] == [id for id in waiting if id not in ("c1-3", "c1-4")]
    words = bench.broker.nudge("c1", "run1:200", [("fib", "c1-3"), ("fib", held.id)]).words
    assert words == ["missing", "running"]


def test_the_log_names_a_removed_key_once_a_minute(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.worker()
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            bench.redis("DEL", bench.keys.named("meta", "fib"))
            bench.redis("SET", bench.keys.named("meta", "fib"), "x")
            assert bench.submit(f"c1-{n}") == ["queued"]
    (line,) = caplog.messages
    assert bench.keys.named("meta", "fib") in line
    assert "another program" in line
    with caplog.at_level(logging.WARNING):
        for n in range(40):
            function = f"other{n}"
            bench.redis("SET", bench.keys.named("meta", function), "x")
            bench.submit(f"c1-{n + 10}", function=function)
    assert bench.keys.named("meta", "other0") in caplog.messages[1]
    assert len(caplog.messages) == 30


@pytest.mark.parametrize(
    "error",
    [
        "NOPERM this user has no permissions to run the 'hset' command",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "BUSY Redis is busy running a script.",
    ],
)
def test_what_redis_refuses_for_reasons_of_its_own_is_not_repaired(error: str) -> None:
    assert not repairs.by_content(error)


def test_names_are_what_a_key_may_be_named_after() -> None:
    names = repairs.names_in(
        ["fib~0d9c1a7e55b2!high", '{"protocol":4}', 3, b"call", b"17.c1-2", "fib:c1-3:99", "c1-4 address 1 0 0", ""]
    )
    assert names == ["fib~0d9c1a7e55b2!high", "c1-2", "fib", "c1-3", "c1-4", "address"]


def test_an_ended_job_whose_row_somebody_wrote_over_is_still_reported_to_its_client(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    assert bench.succeed(bench.claim()[0]) == "succeeded"
    row = bench.keys.named("job", "c1-1")
    for field in ("attempts", "queued_ms", "run_ms", "worker"):
        bench.redis("HSET", row, field, "x y\x1b")
    (word,) = bench.broker.nudge("c1", "run1:200", [("fib", "c1-1")]).words
    assert isinstance(word, Reply)
    assert (word.state, word.result, word.attempts, word.worker) == ("succeeded", b"value", 0, None)


def test_a_job_in_an_unknown_state_is_missing_to_its_client(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    bench.redis("HSET", bench.keys.named("job", "c1-1"), "state", "x")
    assert bench.broker.nudge("c1", "run1:200", [("fib", "c1-1")]).words == ["missing"]
    assert bench.submit("c1-1") == ["queued"]


def test_a_worker_whose_offer_somebody_wrote_over_offers_again(bench: Bench) -> None:
    bench.worker()
    bench.redis("HSET", bench.keys.named("offers", "fib"), "w1", "x")
    assert not bench.broker.beat("w1", f"{bench.link.run_id}:100", [], offered=["fib"]).known
    bench.worker()
    assert bench.submit("c1-1") == ["queued"]
