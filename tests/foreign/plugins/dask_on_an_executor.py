"""A pytest plugin for dask's own tests: an executor, loky's or the cluster's, is the scheduler where none is chosen."""

# dask and loky have no types that say anything here.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

# Right after loky's import it is the cluster's, where the cluster takes loky's place.
EXECUTOR = import_module("loky").ProcessPoolExecutor(4)


@pytest.fixture(autouse=True)
def scheduler() -> Iterator[None]:
    with import_module("dask").config.set(scheduler=EXECUTOR):
        yield
