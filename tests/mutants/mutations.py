"""What `make mutants` takes out, one at a time: each a mechanism that carries the promise, and the tests that miss it.

A mutation is an exact text of one file, found there once, and what stands in its place. Anyone who changes such a line
changes it here as well (tests/unit/test_mutants.py says so). Each area has a file of its own.
"""

from __future__ import annotations

from tests.mutants import (
    blobs,
    caller,
    children,
    core,
    dashboard,
    digests,
    edges,
    ends,
    envelope,
    lanes,
    libraries,
    limits,
    links,
    locks,
    machines,
    pages,
    setup,
    shipping,
    trust,
    values,
    whose_code,
)
from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = tuple(
    mutation
    for area in (
        core,
        ends,
        lanes,
        envelope,
        children,
        values,
        links,
        locks,
        libraries,
        edges,
        pages,
        dashboard,
        digests,
        whose_code,
        trust,
        caller,
        shipping,
        setup,
        limits,
        blobs,
        machines,
    )
    for mutation in area.MUTATIONS
)
