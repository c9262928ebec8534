"""memory://: what a user's unit test sees without any server is what it would see with one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.errors import ConfigurationError, RemoteTraceback
from tests.integration.functions import farm


def one_tuple(n: int) -> tuple[int]:
    return (n,)


def square(n: int) -> int:
    return n * n


@pytest.fixture
def client() -> Iterator[simpledist.Client]:
    with simpledist.connect("memory://") as one:
        yield one


def wrapped(client: simpledist.Client, local: Callable[..., Any], **options: Any) -> Any:
    return simpledist.worker_function(client, getattr(local, "__name__", ""), local, **options)


def outcome(future: simpledist.Future[Any]) -> tuple[Any, str, str | None]:
    """Of a future that must be done already."""
    assert future.info is not None
    return future.result(0), future.info.where, future.info.why


def test_a_call_gives_its_value_as_from_a_worker(client: simpledist.Client) -> None:
    fib = wrapped(client, farm.fib, version=3)
    assert fib(20) == 6765
    future = fib.submit(10)
    assert future.done()
    assert future.info is not None
    assert (future.info.where, future.info.why, future.info.worker) == ("remote", None, "memory")
    assert (future.info.version, future.info.attempts, future.info.queued_seconds) == ("3", 1, 0.0)


def test_it_runs_in_the_callers_thread_and_process_and_starts_nothing(client: simpledist.Client) -> None:
    before = threading.active_count()
    ran: list[tuple[int, int]] = []

    def where() -> None:
        ran.append((os.getpid(), threading.get_ident()))

    wrapped(client, where).submit().result()
    list(wrapped(client, square).map(range(50)))
    assert ran == [(os.getpid(), threading.get_ident())]
    assert threading.active_count() == before


def test_calls_run_in_the_order_in_which_they_are_made(client: simpledist.Client) -> None:
    order: list[int] = []
    note = wrapped(client, order.append)
    futures = [note.submit(n) for n in range(5)]
    note.map([5, 6, 7])
    assert order == list(range(8))
    assert not any(future.cancel() for future in futures)


def test_arguments_and_values_are_copies_as_they_would_be_from_a_worker(client: simpledist.Client) -> None:
    given = [1, 2]
    seen: list[list[int]] = []

    def grow(numbers: list[int]) -> list[int]:
        seen.append(numbers)
        numbers.append(3)
        return numbers

    value = wrapped(client, grow)(given)
    assert (given, value) == ([1, 2], [1, 2, 3])
    assert value is not seen[0]


def test_what_cannot_travel_runs_here_for_the_same_reason_as_with_workers(client: simpledist.Client) -> None:
    lock = threading.Lock()

    def is_the_lock(one: object) -> bool:
        return one is lock

    assert outcome(wrapped(client, is_the_lock).submit(lock)) == (True, "local", "unserialisable")
    value, where, why = outcome(wrapped(client, farm.lock).submit())
    assert (type(value), where, why) == (type(lock), "local", "unserialisable")
    assert outcome(wrapped(client, one_tuple, codec="json").submit(1)) == ((1,), "local", "unserialisable")
    with simpledist.connect("memory://", max_value_bytes=1000) as small:
        assert outcome(wrapped(small, len).submit(b"x" * 2000)) == (2000, "local", "too_big")


def test_an_exception_comes_back_as_it_is_with_its_traceback_as_cause(client: simpledist.Client) -> None:
    with pytest.raises(KeyError) as caught:
        wrapped(client, farm.fail)("key")
    assert caught.value.args == ("key",)
    assert "farm.py" in str(caught.value.__cause__)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    future = wrapped(client, farm.fuss).submit(5)
    assert isinstance(future.exception(0), farm.Fussy)
    assert future.info is not None
    assert future.info.why == "unserialisable"


def test_a_workers_trouble_is_a_second_run_here(client: simpledist.Client) -> None:
    runs: list[int] = []

    def short_of_memory() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise MemoryError
        return len(runs)

    assert outcome(wrapped(client, short_of_memory).submit()) == (2, "local", "worker_error")


def test_an_interrupt_ends_the_test_and_is_no_outcome(client: simpledist.Client) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wrapped(client, interrupted).submit()


def test_futures_are_futures(client: simpledist.Client) -> None:
    remote = wrapped(client, square)
    futures = [remote.submit(n) for n in range(4)]
    assert {future.result() for future in concurrent.futures.as_completed(futures)} == {0, 1, 4, 9}
    called: list[int] = []

    def note(future: concurrent.futures.Future[int]) -> None:
        called.append(future.result())

    remote.submit(3).add_done_callback(note)
    assert called == [9]

    async def awaited() -> int:
        return await remote.submit(5)

    assert asyncio.run(awaited()) == 25


def test_a_queue_of_length_none_is_always_full(client: simpledist.Client) -> None:
    assert outcome(wrapped(client, len, max_queue=0).submit("abc")) == (3, "local", "queue_full")
    assert outcome(wrapped(client, len, max_queue=1).submit("abc")) == (3, "remote", None)


def test_a_closed_client_runs_calls_here(client: simpledist.Client) -> None:
    client.close()
    assert outcome(wrapped(client, len).submit("abc")) == (3, "local", "closed")


def test_a_secret_signs_here_as_well(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("ab" * 32)
    secret.chmod(0o600)
    with simpledist.connect("memory://", secret_file=str(secret)) as client:
        assert outcome(wrapped(client, len).submit("abc")) == (3, "remote", None)


def test_a_program_is_tested_without_changing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLEDIST_REDIS_URL", "memory://")
    with simpledist.connect() as client:
        assert outcome(wrapped(client, len).submit("abc")) == (3, "remote", None)


@pytest.mark.parametrize("url", ["memory://localhost", "memory:///0", "memory:", "memory://?a=1"])
def test_it_has_no_parts(url: str) -> None:
    with pytest.raises(ConfigurationError, match="memory://"):
        simpledist.connect(url)


@pytest.mark.parametrize("line", ["worker len", "distributor", "main status", "main call len"])
def test_only_connect_can_use_it(line: str) -> None:
    module, *arguments = line.split()
    command = [sys.executable, "-m", f"simpledist.cli.{module}", *arguments, "--redis", "memory://"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "only connect() can use it" in done.stderr
