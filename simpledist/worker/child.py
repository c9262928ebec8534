"""A child: runs user code for one slot, one job at a time. Has no key and no connection.

Started by the template, by fork, or as a fresh interpreter (`main`) where forking is unsafe. The frames (channel.py):
in, jobs with their encoded arguments, and recalls; out, `READY` once (or `UNABLE`), then an answer a job with its
encoded outcome. An answer's kind is "value", "error", or a word of job.Why where the cluster is at fault.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections import deque
from typing import Any

from simpledist import copies, policy, randomness, wire
from simpledist.buffers import Data
from simpledist.errors import TargetError, Undecodable
from simpledist.faultpoints import point
from simpledist.worker import inherited, lifeline, mark
from simpledist.worker.channel import ANSWER, CHUNK, PARTS, READY, RECALL, UNABLE, ChildChannel, Frame
from simpledist.worker.output import Output
from simpledist.worker.slate import Slate
from simpledist.worker.targets import Functions, resolve


class Given:
    """What the parent has given to this child and not taken back."""

    def __init__(self, channel: ChildChannel) -> None:
        self._channel = channel
        self._jobs: deque[Frame] = deque()
        self._cut: tuple[int, int] | None = None  # of a chunk: from which part on it has gone back

    def next(self) -> Frame | None:
        """The job to be run now; None at the end of the channel."""
        self.look(wait=not self._jobs)
        while not self._jobs and not self._channel.ended:
            self.look(wait=True)
        return None if self._channel.ended else self._jobs.popleft()

    def look(self, *, wait: bool = False) -> None:
        """Take in what has come."""
        for frame in self._channel.read(wait=wait):
            if frame.kind != RECALL:
                self._jobs.append(frame)
                continue
            if frame.part:
                self._cut = frame.job, frame.part
            first = frame.job + bool(frame.part)  # some of a chunk is still to be run, also if it has not begun
            self._jobs = deque(job for job in self._jobs if job.job < first)

    def begins(self, job: int, part: int) -> bool:
        """Whether this part of a chunk is still ours to begin."""
        return self._cut is None or self._cut[0] != job or part < self._cut[1]


class Answers:
    """What has been finished of the chunk that runs: on the slate at once, to the parent in rows."""

    def __init__(self, channel: ChildChannel, slate: Slate) -> None:
        self._channel = channel
        self._slate = slate
        self._job = self._first = self._count = self._returned = self._us = 0

    def begin(self, job: int) -> None:
        self._job, self._first = job, 0
        self._wipe()

    def add(self, part: int, kind: str, answer: Data, line: str, run_us: int) -> None:
        """One more call came to its outcome; what there is to tell about it goes with it, at once."""
        piece = wire.encode_part(part, kind, answer, run_us)
        self._count += 1
        self._us += run_us
        self._returned += kind == "value"
        if kind == "error":
            self._send(piece, line, raised=1)
        elif not self._slate.add(piece):
            self._send(piece)

    def send(self) -> None:
        if self._count:
            self._send(b"")

    def _send(self, last: bytes, line: str = "", *, raised: int = 0) -> None:
        sums = f"{self._count} {self._returned} {raised}"
        row = self._slate.written() + last
        frame = Frame(PARTS, job=self._job, part=self._first, number=self._us, first=line, second=sums, body=row)
        self._channel.write(frame)
        self._first += self._count
        self._wipe()

    def _wipe(self) -> None:
        self._count = self._returned = self._us = 0
        self._slate.wipe(self._job)


def serve(sock: socket.socket, functions: Functions, output: Output) -> None:
    """Run jobs, in order, until the parent closes the channel.

    Every answer is written as soon as it is there, those of a chunk to the slate: what is answered survives the child.
    What the parent recalls and has not begun is forgotten: it has gone elsewhere by then.
    """
    channel = ChildChannel(sock)
    try:
        slate = Slate.received_from(sock)
        output.attach(sock)
    except OSError as error:
        channel.write(Frame(UNABLE, first=str(error)))
        raise
    os.register_at_fork(after_in_child=sock.close)  # a copy that lives on must not hold the parent's channel open
    channel.write(Frame(READY))
    given, answers, original = Given(channel), Answers(channel, slate), copies.Original()
    while (job := given.next()) is not None:
        output.job = job.first
        point("child.begins")
        began = time.perf_counter()
        if job.kind == CHUNK:
            kind, answer, line = run_each(functions, job, answers, given, original, output)
        else:
            kind, answer, line = run(functions, job.second, wire.CODECS[job.code], job.body, original)
        run_us = round((time.perf_counter() - began) * 1e6)
        output.end_job(run_us)
        point("child.ends")
        if original.is_copied():  # by a fork that Python knows nothing of
            copies.leave(None)
        channel.write(Frame(ANSWER, job=job.job, number=run_us, first=line, second=kind, body=answer))
        del job, answer  # a big value must not stay until the next one comes


def run_each(
    functions: Functions, job: Frame, answers: Answers, given: Given, original: copies.Original, output: Output
) -> tuple[str, Data, str]:
    """The calls of a chunk, in order, each answered by itself, until the rest is recalled."""
    codec = wire.CODECS[job.code]
    try:
        calls = wire.split_calls(codec, job.body)
    except Undecodable as error:
        return "undecodable", b"", str(error)
    answers.begin(job.job)
    began = looked = time.perf_counter()
    for part, body in enumerate(calls):
        if began - looked >= policy.LOOK_SECONDS:
            looked = began
            given.look()
        if not given.begins(job.job, part):
            break
        kind, answer, line = run(functions, job.second, codec, body, original)
        if part == 0 and policy.is_refusal(kind, line):
            return kind, b"", line  # all of it is refused: another worker may do better with all of it
        now = time.perf_counter()
        output.end_call()
        answers.add(part, kind, answer, line, round((now - began) * 1e6))
        began = now
    answers.send()
    return "chunk", b"", ""


def run(
    functions: Functions, name: str, codec: str, body: Data | memoryview | tuple[Any, ...], original: copies.Original
) -> tuple[str, Data, str]:
    """One call: (kind, encoded outcome, what to tell people: a line, for an error also its place and traceback).

    Only the original process returns from it: a copy that the function made by forking leaves here.
    """
    function = functions.get(name)
    if function is None:
        return "worker_error", b"", f"this child does not have {name}"
    try:
        outcome = wire.run_call(function, codec, body, original)
    except wire.ForkedCopy as copy:
        copies.leave(copy.error, frames_of_ours=1)
    except KeyboardInterrupt as error:
        # Children ignore SIGINT: the function raised it, and a caller's Ctrl-C must not come from a worker.
        return "worker_error", b"", f"{type(error).__name__}: {error}"
    if original.copied:
        copies.leave(None)
    return outcome


def begin(sock: socket.socket, functions: Functions, output: Output) -> None:
    """A child's life from its first moment; never returns."""
    status = 1
    try:
        lifeline.ignore_stop_signals()
        lifeline.obey_stop_signals_in_copies()
        randomness.begin_anew()
        serve(sock, functions, output)
        status = 0
    except (BrokenPipeError, ConnectionResetError, EOFError):
        status = 0  # the parent is gone
    finally:
        os._exit(status)


def main() -> None:
    """A spawned child: `fd template-pid token serial TARGET...`."""
    fd, template, token, serial, *targets = sys.argv[1:]
    os.set_inheritable(int(fd), False)
    lifeline.be_a_group()
    lifeline.die_with(int(template))
    mark.put_on(int(token), int(serial))
    inherited.import_from_current_folder()
    output = capture_output()
    sock = socket.socket(fileno=int(fd))
    try:
        functions: Any = resolve(targets)
    except TargetError as error:
        sys.stderr.write(f"simpledist-worker: {error}\n")
        with contextlib.suppress(OSError):  # the parent is gone
            ChildChannel(sock).write(Frame(UNABLE, first=str(error)))
        os._exit(1)
    begin(sock, functions, output)


def capture_output() -> Output:
    """Have everything that is printed from now on lead to the worker's stderr, line by line, marked with its job."""
    os.dup2(2, 1)
    output = Output()
    output.take_over()
    return output
