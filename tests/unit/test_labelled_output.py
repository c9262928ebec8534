"""The pipe of a child: whose text is it that no mark in the pipe claims?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest

from simpledist.worker.labelled_output import LabelledOutput
from simpledist.worker.output import TOKEN_BYTES

Ends = tuple[LabelledOutput, Callable[[bytes], int]]
TOKEN = b"\0" + b"t" * (TOKEN_BYTES - 1)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The parent's side, and what writes into the child's."""
    read_end, write_end = os.pipe()
    yield LabelledOutput(read_end, TOKEN, lambda: None), lambda data: os.write(write_end, data)
    os.close(read_end)
    os.close(write_end)


def said(job: str, text: str) -> bytes:
    """Return what the pipe holds after a job has ended before its text was read."""
    return b"%b\n%b%b\n%b\n" % (text.encode(), TOKEN, job.encode(), TOKEN)


def test_what_is_read_behind_the_mark_of_another_job_is_of_the_one_that_ran_then(ends: Ends) -> None:
    pipe, write = ends
    runs = chain(["two", "two"], repeat("three"))  # it has begun by the time the text is looked at
    pipe.running = lambda: next(runs)
    write(said("one", "first") + b"second\n")
    assert pipe.hear(pipe.read()) == b"[one] first\n[two] second\n"


def test_where_a_job_begins_while_it_is_asked_it_is_asked_again(ends: Ends) -> None:
    pipe, write = ends
    write(b"first\n")

    def begun() -> Iterator[str]:
        yield "one"
        write(said("one", "more") + b"second\n")  # the first job ends here, and its text is unread
        yield from repeat("two")

    runs = begun()
    pipe.running = lambda: next(runs)
    assert pipe.hear(pipe.read()) == b"[one] first\n[one] more\n[two] second\n"


def test_what_comes_after_it_was_asked_is_left_for_the_next_time(ends: Ends) -> None:
    pipe, write = ends
    write(b"first\n")
    asked: list[str] = []

    def running() -> str:
        asked.append("one" if len(asked) < 2 else "two")
        if len(asked) == 2:  # the first job says no more, and the next one begins at once
            write(said("one", "")[1:] + b"second\n")
        return asked[-1]

    pipe.running = running
    assert pipe.hear(pipe.read()) == b"[one] first\n"
    assert pipe.hear(pipe.read()) == b"[two] second\n"
