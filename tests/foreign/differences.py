"""Tests of other projects that come out otherwise than with loky, and why: docs/libraries.md says the same."""

# ruff: noqa: E501 - a line for each reason

from __future__ import annotations

import re

# A pattern of the test's name, and the reason.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "joblib: .*test_effective_n_jobs_None",
        "No `n_jobs` means all slots of the cluster, not one job",
    ),
    (
        "joblib: .*(test_backend_context_manager\\[.*-loky\\]|test_backend_hinting_and_constraints|test_nested_parallelism_limit|test_nested_backend_context_manager\\[.*-loky\\])",
        "The test asks for the classes of joblib's own backends. A batch has one slot: what is nested in it runs one after another there, not in threads",
    ),
    (
        "joblib: .*(test_parallel_config_no_backend|test_parallel_config_params_explicit_set|memmap)",
        "Arrays travel in the call: they are not mapped from a file of this machine, and can be written to",
    ),
    (
        "joblib: .*\\[.*backend5\\]",
        "The name of the parameter: the same test runs as `simpledist`",
    ),
    (
        "joblib: .*test_nested_parallel_warnings",
        "Calls nested in a batch run one after another without a warning",
    ),
    (
        "joblib: .*test_parallel_pickling",
        "What cannot be pickled runs at the caller and gives its value; loky raises PicklingError",
    ),
    (
        "joblib: .*test_error_capture",
        "The backend has no processes of its own to look at",
    ),
    (
        "joblib: .*test_multiple_generator_call_separated_gc",
        "Each `Parallel` is independent of others: a generator that is dropped ends no other; with loky that raises RuntimeError",
    ),
    (
        "joblib: .*test_threadpool_limitation_in_child_override",
        "The environment of the calling process does not reach workers: use `inner_max_num_threads=`",
    ),
    (
        "joblib: .*test_initializer_(not_)?reused",
        "The cluster has other processes than `n_jobs`: calls that wait for each other until `n_jobs` processes have begun may wait in vain",
    ),
    (
        "scikit-learn: .*test_backend_respected",
        "The test counts calls of the backend that it made; each `Parallel` works with a copy of it",
    ),
    (
        "scikit-learn: .*test_parallel_delayed_warnings",
        "No `n_jobs` means all slots: the calls run on workers, and what they warn of stands in the worker's log",
    ),
)


def reason(name: str) -> str | None:
    """Return why this test may come out otherwise; None for one that may not."""
    return next((why for pattern, why in DIFFERENCES if re.search(pattern, name)), None)
