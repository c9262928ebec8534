"""A real cluster for each module, with functions of every kind on its worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from simpledist.cluster import Cluster
from tests import standing
from tests.trees import ROOT

MODULES = (
    "tests.values.functions.copying",
    "tests.values.functions.evil",
    "tests.values.functions.limited",
    "tests.values.functions.touchy",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One worker with one slot: what one job does to its child, the next one sees."""
    with Cluster(MODULES, workers=1, slots=1, folder=ROOT) as one, standing.shared(one):
        yield one


@pytest.fixture
def limits() -> Iterator[None]:
    """Puts this process's own limits back."""
    depth = sys.getrecursionlimit()
    digits = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else None
    yield
    sys.setrecursionlimit(depth)
    if digits is not None:
        sys.set_int_max_str_digits(digits)
