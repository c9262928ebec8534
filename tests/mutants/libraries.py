"""Mutations of what travels by value, joblib and executors."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "by value",
        "big buffers of what goes by value are written into its pickle",
        "simpledist/serializers.py",
        "pickler = make(SimpleNamespace(write=write), 5, buffer_callback=in_band)",
        "pickler = make(SimpleNamespace(write=write), 5, buffer_callback=in_band if make is pickle.Pickler else None)",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "what is not lent is not copied",
        "simpledist/serializers.py",
        "whole if lend else",
        "whole if mark else",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "a registered module goes by name",
        "simpledist/serializers.py",
        "return bool(registered) and any(",
        "return False and any(",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "code of another Python is loaded",
        "simpledist/serializers.py",
        "if python != _PYTHON:",
        "if False:",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "an executor calls a function by name whose module goes by value",
        "simpledist/client/executor.py",
        " or serializers.goes_by_value(fn.__module__)",
        "",
        "tests/interfaces/test_executor.py -k goes_by_value",
    ),
)
