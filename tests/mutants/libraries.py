"""Mutations of what travels by value, joblib and executors."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "by value",
        "big buffers of what goes by value are written into its pickle",
        "simpledist/wire/serializers.py",
        "pickler = make(SimpleNamespace(write=write), 5, buffer_callback=in_band)",
        "pickler = make(SimpleNamespace(write=write), 5, buffer_callback=in_band if make is pickle.Pickler else None)",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "what is not lent is not copied",
        "simpledist/wire/serializers.py",
        "whole if lend else",
        "whole if mark else",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "a registered module goes by name",
        "simpledist/wire/serializers.py",
        "return bool(registered) and any(",
        "return False and any(",
        "tests/unit/test_by_value.py",
    ),
    Mutation(
        "by value",
        "code of another Python is loaded",
        "simpledist/wire/serializers.py",
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
    Mutation(
        "nested calls",
        "calls of a local run wait for the place that it takes",
        "simpledist/client/local.py",
        "while backlog.depth < future.call.depth:",
        "while False:",
        "tests/interfaces/test_nested.py -k local_run",
    ),
    Mutation(
        "nested calls",
        "a function does not find the joblib backend of its program",
        "simpledist/joblib.py",
        'shipped.carry("simpledist.joblib")',
        "",
        "tests/interfaces/test_nested.py",
    ),
    Mutation(
        "joblib",
        "one Parallel that is given up stops the batches of all",
        "simpledist/joblib.py",
        "own._begin, own.parallel = begin, parallel",
        "own._begin, own.parallel, own._futures = begin, parallel, self._futures",
        "tests/interfaces/test_joblib.py",
    ),
    Mutation(
        "joblib",
        "an initializer is dropped",
        "simpledist/joblib.py",
        "            self.begin.run()",
        "            pass",
        "tests/interfaces/test_joblib.py",
    ),
    Mutation(
        "joblib",
        "no n_jobs means one",
        "simpledist/joblib.py",
        "            n_jobs = self.default_n_jobs",
        "            n_jobs = 1",
        "tests/interfaces/test_joblib.py",
    ),
    Mutation(
        "joblib",
        "an option that it does not have is dropped",
        "simpledist/joblib.py",
        "if unknown := sorted(hints.keys() - _HINTS):",
        "if unknown := sorted(hints.keys() - hints.keys()):",
        "tests/interfaces/test_joblib.py",
    ),
    Mutation(
        "joblib",
        "an executor does not tell how many calls can run at once",
        "simpledist/client/executor.py",
        "return max(self._client.offers.all_slots(), self._promises.slots)",
        "return self._promises.slots",
        "tests/interfaces/test_joblib.py",
    ),
)
