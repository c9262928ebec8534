"""Two seconds of each target of `make fuzz`, and hostile values that Hypothesis makes smaller."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist.broker import parsing, shapes
from simpledist.errors import RedisRefused
from tests.security.fuzz import targets
from tests.stage import Stage
from tests.web.conftest import stage as stage
from tests.web.site import application

SECONDS = 2.0
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=40)
ANSWERS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.binary(), inner))


@pytest.fixture
def draw() -> random.Random:
    return random.Random(time.time_ns())


@pytest.fixture
def emptied(stage: Stage) -> Iterator[Stage]:
    yield stage
    stage.link.close()
    stage.link.connect()
    stage.link.call("FLUSHALL", timeout=10)


@pytest.mark.parametrize("target", [targets.envelope, targets.reply])
def test_nothing_random_is_opened_or_raises_what_is_not_ours(
    draw: random.Random, target: Callable[[random.Random], None]
) -> None:
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        target(draw)


def test_no_random_content_of_redis_breaks_a_page_or_a_verb(draw: random.Random, emptied: Stage) -> None:
    client = application(emptied.monitor()).test_client()
    began = time.monotonic()
    while time.monotonic() - began < 2 * SECONDS:
        for _ in range(5):
            targets.write(draw, emptied.link, emptied.keys)
        targets.page(draw, client)
        targets.verbs(draw, emptied.link, emptied.broker)
        if not emptied.link.connected:
            emptied.link.connect()


@given(st.sampled_from(sorted(targets.READERS)), st.sampled_from(sorted(shapes.SHAPES)), ANSWERS)
@settings(max_examples=500, deadline=None)
def test_every_answer_is_read_or_refused(verb: str, command: str, answer: Any) -> None:
    for read in (
        lambda: parsing.read(verb, targets.READERS[verb], answer),
        lambda: shapes.checked((command, "key", "field"), answer),
    ):
        try:
            read()
        except RedisRefused:
            continue
