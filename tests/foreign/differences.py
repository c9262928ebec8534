"""Tests of other projects that come out otherwise than with loky, and why: docs/libraries.md says the same."""

# ruff: noqa: E501 - a line for each reason

from __future__ import annotations

import re

# A pattern of the test's name, and the reason.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "joblib: .*(test_effective_n_jobs_None|test_nested_backend_in_sequential)",
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
        "joblib: .*test_parallel_pickling|loky: .*(PicklingError|pickle_error|sys_exit_at_pickle|test_queue_full_deadlock|CrashAtPickle|ExitAtPickle|return_instance|broken_start)",
        "What cannot be pickled, an argument or a result, runs at the caller and gives its value; loky raises PicklingError, or its pool breaks",
    ),
    (
        "joblib: .*(test_error_capture|interactively_defined_bound_method_loky)",
        "The backend has no processes of its own to look at",
    ),
    (
        "joblib: .*test_multiple_generator_call_separated_gc",
        "Each `Parallel` is independent of others: a generator that is dropped ends no other; with loky that raises RuntimeError",
    ),
    (
        "joblib: .*test_threadpool_limitation_in_child_override|loky: .*test_child_env_executor",
        "The environment of the calling process does not reach workers: use `inner_max_num_threads=`",
    ),
    (
        "joblib: .*test_initializer_(not_)?reused",
        "The cluster has other processes than `n_jobs`: calls that wait for each other until `n_jobs` processes have begun may wait without end",
    ),
    (
        "loky: .*(crash-args6|c_exit-args8|test_exited_child|test_compat_with_concurrent_futures_exception)",
        "A call that kills its process twice raises FunctionCrashed, and the executor goes on; loky's pool is broken and raises TerminatedWorkerError",
    ),
    (
        "loky: .*(BrokenProcessPool|TerminatedWorkerError-EXIT|args5-TerminatedWorkerError|fail_at_unpickle)",
        "An argument or a result that cannot be unpickled where it arrives is made at the caller, and gives its value; loky's pool breaks",
    ),
    (
        "loky: .*test_call_item_gc_crash_or_exit",
        "A process that dies after its call has an outcome harms no other call: it is replaced",
    ),
    (
        "loky: .*(test_processes_|test_context_manager_shutdown|test_del_shutdown|test_shutdown_no_wait|test_shutdown_deadlock|test_crash_races|_crash_breaks_executor|test_reusable_executor_resize$|test_kill_after_resize_call|test_invalid_process_number|test_reusable_executor_reuse_true|test_no_crash_max_workers_on_windows)",
        "The test looks at processes, threads and queues of the executor's own: a cluster's workers are not its own",
    ),
    (
        "loky: .*(test_hang_issue39205|test_faulthandler_enabled)",
        "What a call prints stands in the worker's log, not on the stdout and stderr of its caller",
    ),
    (
        "loky: .*TestsProcessPoolLokyWait::test_timeout",
        "An event or a lock that `initializer=` hands to each process cannot travel to another machine",
    ),
    (
        "loky: .*test_reusable_initializer",
        "`client.executor(initializer=)` is refused: workers serve many programs. The joblib backend takes one",
    ),
    (
        "loky: .*test_serialization",
        "Reducers of one executor (`job_reducers=`): use `copyreg`, or `__reduce__`",
    ),
    (
        "loky: .*test_max_depth",
        "Calls nested in calls run in place, however deep; loky refuses more than ten levels",
    ),
    (
        "loky: .*test_traceback",
        "The remote traceback is the exception's cause, too, as a class of simpledist's",
    ),
    (
        "loky: .*(test_memory_leak_protection|test_max_memory_leak_size_env_var)",
        "Processes are replaced by `simpledist-worker --recycle`, not by a look at their memory",
    ),
    (
        "loky: .*(test_invalid_context|test_pass_start_method_name_as_context)",
        "How processes are started is the worker's affair: `context=` has no effect",
    ),
    (
        "loky: .*test_shutdown_kill",
        "`shutdown` stops nothing that runs (`cancel_futures=` cancels what waits): `kill_workers=` has no counterpart",
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

# Tests that are not run with the cluster, since they would wait for what cannot come, and the reason.
LEFT_OUT: tuple[tuple[str, str], ...] = (
    (
        "test_killed_child|test_deadlock_kill",
        "The test kills a process of the executor's own, and leaves behind calls that sleep for half a minute each",
    ),
    (
        "test_shutdown_and_kill_workers|test_kill_workers_on_new_options",
        "The test waits for a call that nothing but `kill_workers=` ends, which has no counterpart",
    ),
)


def reason(name: str) -> str | None:
    """Return why this test may come out otherwise; None for one that may not."""
    return next((why for pattern, why in DIFFERENCES if re.search(pattern, name)), None)
