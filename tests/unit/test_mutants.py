"""What `make mutants` takes out is still there, what is left is still code, and the tests that it asks are there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, cast

import lupa.lua51 as lua
import pytest

from tests.mutants.mutation import Mutation
from tests.mutants.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.mechanism}: {one.removed}")
def test_a_mutation_still_applies(mutation: Mutation) -> None:
    mutated = mutation.applied_to(ROOT)
    assert mutated != (ROOT / mutation.path).read_text()
    if mutation.path.endswith(".lua"):
        compile_lua = cast("Any", lua).LuaRuntime().eval("loadstring")
        assert compile_lua(mutated), mutation.path
    else:
        compile(mutated, mutation.path, "exec")
    for word in shlex.split(mutation.tests.partition(" -k ")[0]):
        assert (ROOT / word).exists(), word


def test_a_text_that_is_not_there_or_there_twice_is_an_error() -> None:
    for text in ("no such text", "import"):
        with pytest.raises(ValueError, match=r"found \d+ times in simpledist/policy.py"):
            Mutation("x", "y", "simpledist/policy.py", text, "", "").applied_to(ROOT)


def test_each_is_distinguished_from_the_others() -> None:
    assert len({(one.mechanism, one.removed) for one in MUTATIONS}) == len(MUTATIONS)
