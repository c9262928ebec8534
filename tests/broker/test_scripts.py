"""Scripts: sent once, named by their hash afterwards, sent again to a server that has forgotten them."""

from __future__ import annotations

import dataclasses
import re
from importlib import resources

import pytest

from simpledist import policy
from simpledist.broker import Broker, Keys, Link, scripts
from simpledist.broker.records import Wish
from simpledist.errors import RedisRefused
from tests.broker.bench import Bench


def evalshas(link: Link) -> tuple[int, int]:
    """How many EVALSHA and EVAL the server has seen."""
    stats: bytes = link.call("INFO", "commandstats")
    found = dict(re.findall(rb"cmdstat_(\w+):calls=(\d+)", stats))
    return int(found.get(b"evalsha", 0)), int(found.get(b"eval", 0))


def test_each_verb_runs_by_the_servers_own_time(true_time: Broker) -> None:
    row = {"functions": ["fib"], "connection": "-"}
    assert true_time.beat("w1", "-", [], row, ["fib"]).known
    assert true_time.submit("fib", "c1", "-", [("c1-1", b"x")]).words == ["queued"]
    (claimed,) = true_time.claim("w1", "n", "fib", [], [0])
    assert len(claimed.held.fence) == 16
    assert true_time.release("w1", [claimed.held]) == ["requeued"]


def test_the_text_travels_once_and_again_after_the_server_forgot_it(real_bench: Bench) -> None:
    link = real_bench.link
    link.call("SCRIPT", "FLUSH")
    link.call("CONFIG", "RESETSTAT")
    for _ in range(5):
        real_bench.reap()
    assert evalshas(link) == (5, 1)
    link.call("SCRIPT", "FLUSH")
    real_bench.reap()
    assert evalshas(link) == (6, 2)


def test_timings_reach_the_scripts(link: Link) -> None:
    timings = dataclasses.replace(policy.TIMINGS, silent_seconds=0.0)
    broker = Broker(link, Keys(), scripts.load(timings))
    broker.beat("w1", "-", [], {"functions": ["fib"], "connection": "-"}, ["fib"])
    assert broker.submit("fib", "c1", "-", [("c1-1", b"x")]).words == ["no_worker"]


def test_a_foreign_value_at_our_key_is_a_refusal_with_redis_own_words(true_time: Broker) -> None:
    true_time.link.call("SET", true_time.keys.workers, "foreign")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        true_time.beat("w1", "-", [], {"functions": ["fib"], "connection": "-"})
    assert true_time.link.connected, "a refusal is an answer: the connection is whole"


def line_of(place: re.Match[str] | None) -> str:
    """The line of our files that an error names."""
    assert place
    return resources.files("simpledist.broker.lua").joinpath(place[1]).read_text().splitlines()[int(place[2]) - 1]


def test_a_refused_command_names_our_file_and_line(real_bench: Bench) -> None:
    real_bench.redis("SET", real_bench.keys.workers, "foreign")
    with pytest.raises(RedisRefused, match="WRONGTYPE") as refused:
        real_bench.worker()
    assert "key_workers()" in line_of(re.search(r"(beat\.lua):(\d+)", str(refused.value)))


def test_an_error_of_lua_names_our_file_and_line(real_bench: Bench) -> None:
    with pytest.raises(RedisRefused, match="attempt to concatenate") as refused:
        real_bench.broker.submit("fib", "c1", "-", [("c1-1", b"x")], wish=Wish(key="no key id"))
    assert "protocol .." in line_of(re.search(r"(_offer\.lua):(\d+)", str(refused.value)))
    assert "user_script" not in str(refused.value)


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_what_people_read_is_the_script_with_its_places(verb: str) -> None:
    script = scripts.load()[verb]
    shown = [line for line in script.for_people().splitlines() if line and not line.startswith("-- ")]
    assert shown == [line for line in script.text.splitlines() if line]
    assert re.search(rf"^-- {verb}\.lua:\d+$", script.for_people(), re.MULTILINE)


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_no_script_scans_the_keyspace_or_reads_a_clock_of_its_own(verb: str) -> None:
    text = resources.files("simpledist.broker.lua").joinpath(f"{verb}.lua").read_text()
    assert not re.search(r"'(KEYS|SCAN|FLUSHALL|TIME|RANDOMKEY)'", text)
