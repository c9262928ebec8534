"""An executor for each test: the cluster's, or loky's where the same programs show what they do without a cluster."""

# loky has no types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from importlib import import_module

import pytest

SLOTS = 4


@pytest.fixture
def executor() -> Iterator[Executor]:
    if os.environ["FOREIGN_BACKEND"] != "simpledist":
        with import_module("loky").ProcessPoolExecutor(SLOTS) as one:
            yield one
        return
    with import_module("simpledist").connect() as client, client.executor() as one:
        assert one._max_workers == SLOTS
        yield one
