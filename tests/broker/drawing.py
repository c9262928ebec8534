"""What the state machine draws from: names of functions, lanes, clients and workers, sizes, times and chances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

from simpledist.broker.lane import parsed
from simpledist.broker.records import NO_DIGEST, Wish, job_label
from tests.broker.state import Content, Kind

FUNCTIONS = ("fib", "gcd@2")
CLIENTS = ("c1", "c2")
WORKERS = ("w1", "w2", "w3")
MOST_IDS = 24
KIND = Kind()
CODES = (KIND, Kind(digest="aaaaaaaaaaaaaaaa"), Kind(digest="bbbbbbbbbbbbbbbb"), Kind(protocol=9))
PLACES = tuple(Kind(digest=digit * 16, place=place) for digit in "ab" for place in ("m.f", "n.g", "*"))
KINDS = (*CODES, Kind(key="11111111"), Kind(digest="aaaaaaaaaaaaaaaa", key="11111111"), *PLACES)
WISHES = (*KINDS, Kind(digest=NO_DIGEST))
MARKS = ("", "~aaaaaaaaaaaa", "~bbbbbbbbbbbb", "~000000000009", f"~{KIND.protocol:012x}")
LANES = [function + mark + priority for function in FUNCTIONS for mark in MARKS for priority in ("", "!high")]

T = TypeVar("T")

function_names = st.sampled_from(FUNCTIONS)
lane_names = st.one_of(function_names, function_names, function_names, st.sampled_from(LANES))
kinds_of_calls = st.sampled_from([KIND] * 8 + list(WISHES))
kinds_of_workers = st.sampled_from([KIND] * 6 + list(KINDS))
client_names = st.sampled_from(CLIENTS)
worker_names = st.sampled_from(WORKERS)
masks = st.integers(0, 2**16 - 1)
sizes = st.sampled_from([3, 3, 3, 5_000, 70_000])
whys = st.sampled_from(["crashed", "crashed", "worker_error", "worker_error", "undecodable", "too_big"])
spans = st.sampled_from([1, 100, 200, 500, 500, 500, 1_000, 1_000, 1_100, 2_500, 5_000, 10_000, 60_000, 120_000])
contents = st.sampled_from([None, ("a", True, False), ("a", False, True), ("a", True, True), ("b", True, True)])
aheads = st.sampled_from([0, 0, 0, 1, 2])
idle_fors = st.sampled_from(["", *FUNCTIONS, *FUNCTIONS, "fib!high", "fib~aaaaaaaaaaaa"])
CACHE_SECONDS = 86_400.0
chance = st.integers(0, 11).map(lambda n: n == 0)


def some(mask: int, items: Sequence[T]) -> list[T]:
    """Those of the last 16 items whose bit is set."""
    return [item for i, item in enumerate(items[-16:]) if mask >> i & 1]


def assert_answers(words: list[str], expected: list[str], lane: str) -> None:
    """Redis says a word more to people: whose fault it is. Of several lanes a call may be sent to any."""
    assert len(words) == len(expected)
    for word, its in zip(words, expected, strict=True):
        kind, _, more = word.partition(" ")
        if its.startswith(("moved ", "named ")):
            assert kind == its.split()[0]
            found = more.split()[0]
            assert str(parsed(found)._replace(priority="")) in its.split()[1:]
            assert not lane or parsed(found).priority == parsed(lane).priority
        else:
            assert (word if its.startswith("joined ") else kind) == its


def wish_of(kind: Kind) -> Wish:
    return Wish(key=kind.key, digest=kind.digest, place=kind.place, protocol=kind.protocol)


def label(id: str, content: Content | None) -> str:
    if content is None:
        return id
    return job_label(id, content.address, join=content.join, cache_seconds=CACHE_SECONDS * content.cache)
