"""A child: runs user code for one slot, one job at a time. Has no key and no connection.

Started by the template, by fork, or as a fresh interpreter (`main`) where forking is unsafe. Orders come in: jobs with
their encoded arguments, and recalls. Answers go out: `READY` once (or `UNABLE`), then one for each job with its encoded
outcome (frames.py).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections import deque
from typing import Any

from simpledist import forked_copies, policy, randomness, shipped, wire
from simpledist.buffers import Data
from simpledist.errors import BadEnvelope, OtherCode, TargetError, Undecodable
from simpledist.faultpoints import point
from simpledist.forked_copies import Original
from simpledist.worker import lifeline, mark
from simpledist.worker.argument_check import ArgumentCheck
from simpledist.worker.channel import ChildChannel
from simpledist.worker.decoded import Decoded
from simpledist.worker.entering import enter
from simpledist.worker.frames import BATCH, BLOB, ENDED, ENTER, READY, RECALL, ROW, UNABLE, Answer, Order
from simpledist.worker.introduction import loaded
from simpledist.worker.launch import launched, set_path
from simpledist.worker.output import Output
from simpledist.worker.result_buffer import ResultBuffer
from simpledist.worker.setup import run_setup
from simpledist.worker.targets import Functions, resolve


class Assigned:
    """The jobs that the parent has sent to this child and not taken back.

    To ask the channel costs as much as a short job does. So between two jobs of a batch it is asked only where the
    parent has announced a recall, or was not asked for a while.
    """

    def __init__(self, channel: ChildChannel, buffer: ResultBuffer, decoded: Decoded) -> None:
        self._channel = channel
        self._buffer = buffer
        self._decoded = decoded
        self._lent: set[str] = set()  # to the job that comes next
        self._recalls = 0  # that have come
        self._looked = 0.0
        self._jobs: deque[Order] = deque()
        self._cut: tuple[int, int] | None = None  # of a batch: from which part on it has gone back
        self._archive = ""  # that is to be entered before the next job
        self.unable = ""  # why none of these jobs can run: their modules are not to be had

    def next(self) -> Order | None:
        """Return the job to be run now; None at the end of the channel."""
        if self._jobs and (self._buffer.recalls() != self._recalls or self._looked_long_ago()):
            self.look()
        while not self._jobs and not self._channel.ended:
            self.look(wait=True)
        if self._archive:
            self._enter()
        return None if self._channel.ended else self._jobs.popleft()

    def _enter(self) -> None:
        archive, self._archive = self._archive, ""
        try:
            enter(archive)
            self._decoded.forget()
        except (BadEnvelope, OSError) as error:
            self.unable = f"its modules cannot be unpacked: {error}"

    def _looked_long_ago(self) -> bool:
        return time.perf_counter() - self._looked >= policy.LOOK_SECONDS

    def look(self, *, wait: bool = False) -> None:
        """Take in what has come."""
        orders = self._channel.read(wait=wait)
        self._looked = time.perf_counter()
        for order in orders:
            if order.kind == ENTER:
                self._archive = bytes(order.body).decode()
                continue
            if order.kind == BLOB:
                name, _, path = bytes(order.body).decode().partition(" ")
                self._lent.add(name)
                self._decoded.lend(name, path)
                continue
            if order.kind != RECALL:
                self._jobs.append(order)
                self._lent.clear()
                continue
            self._recalls += 1
            if order.part:
                self._cut = order.job, order.part
            first = order.job + bool(order.part)  # some of a batch is still to be run, also if it has not begun
            self._jobs = deque(job for job in self._jobs if job.job < first)

    def blobs(self) -> set[str]:
        """Return the names of the shared objects that the jobs still to be run want."""
        return self._lent.union(*(wire.names_in(job.body) for job in self._jobs))

    def gone_from(self, job: int) -> int:
        """Return from which part on this batch was taken back, when the channel was last looked at."""
        return self._cut[1] if self._cut is not None and self._cut[0] == job else sys.maxsize


class Row:
    """The finished calls of the batch that runs: each goes to the result buffer, and many of them to the parent."""

    def __init__(self, channel: ChildChannel, buffer: ResultBuffer) -> None:
        self._channel = channel
        self._buffer = buffer
        self._job = self._first = self._count = self._returned = self._us = 0

    def begin(self, job: int) -> None:
        """Begin a batch."""
        self._job, self._first = job, 0
        self._wipe()

    def add(self, part: int, outcome: str, body: Data, error_text: str, run_us: int) -> None:
        """Note that one more call has ended; one that raised is sent at once, with what there is to tell about it."""
        if error_text and outcome != "error":  # there is no outcome, and this says why
            body = error_text[: policy.DETAIL_CHARACTERS].encode()
        piece = wire.encode_part(part, outcome, body, run_us)
        self._count += 1
        self._us += run_us
        if outcome == "error":
            self._send(piece, error_text, raised=1)
            return
        if outcome == "value":
            self._returned += 1
        if not self._buffer.add(piece):
            self._send(piece)

    def send(self) -> None:
        """Send the calls that have not been sent."""
        if self._count:
            self._send(b"")

    def _send(self, last: bytes, error_text: str = "", *, raised: int = 0) -> None:
        row = Answer(
            ROW,
            self._job,
            part=self._first,
            run_us=self._us,
            calls=self._count,
            returned=self._returned,
            raised=raised,
            error_text=error_text,
            body=self._buffer.written() + last,
        )
        self._channel.write(row)
        self._first += self._count
        self._wipe()

    def _wipe(self) -> None:
        self._count = self._returned = self._us = 0
        self._buffer.wipe(self._job)


def serve(sock: socket.socket, functions: Functions, output: Output) -> None:
    """Run jobs, in order, until the parent closes the channel.

    Every answer is written as soon as it is there, those of a batch to the result buffer: they survive the child.
    What the parent recalls and has not begun is forgotten: it has gone elsewhere by then.
    """
    channel = ChildChannel(sock)
    try:
        buffer = ResultBuffer.received_from(sock)
        output.attach(sock)
    except OSError as error:
        channel.write(Answer(UNABLE, error_text=str(error)))
        raise
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=sock.close)  # a copy that lives on must not hold the channel open
    channel.write(Answer(READY))
    decoded = Decoded()
    wire.found_by(decoded)
    wire.compared_by(ArgumentCheck().compare)
    assigned, row, original = Assigned(channel, buffer, decoded), Row(channel, buffer), Original()
    while (job := assigned.next()) is not None:
        output.job = job.id
        buffer.runs(job.job)
        point("child.begins")
        began = time.perf_counter()
        if assigned.unable:
            outcome, body, error_text = "undecodable", b"", assigned.unable
        elif job.kind == BATCH:
            outcome, body, error_text = run_each(functions, job, row, assigned, original, output)
        else:
            outcome, body, error_text = run(functions, job.function, wire.CODECS[job.codec], job.body, original)
        run_us = round((time.perf_counter() - began) * 1e6)
        output.end_job(run_us)
        point("child.ends")
        if original.is_copied():  # by a fork that Python knows nothing of
            forked_copies.leave(None)
        channel.write(Answer(ENDED, job.job, run_us=run_us, outcome=outcome, error_text=error_text, body=body))
        if decoded:
            decoded.end_job(job.id, assigned.blobs())
        del job, body  # a big value must not stay until the next one comes


def run_each(
    functions: Functions, job: Order, row: Row, assigned: Assigned, original: Original, output: Output
) -> tuple[str, Data, str]:
    """Run the calls of a batch, in order, each answered by itself, until the rest is recalled."""
    codec = wire.CODECS[job.codec]
    try:
        calls = wire.split_calls(codec, job.body)
    except OtherCode as error:
        return "other_code", b"", str(error)
    except Undecodable as error:
        return "undecodable", b"", str(error)
    row.begin(job.job)
    gone_from, clock = assigned.gone_from(job.job), time.perf_counter
    began = looked = clock()
    for part, body in enumerate(calls):
        if began - looked >= policy.LOOK_SECONDS:
            looked = began
            assigned.look()
            gone_from = assigned.gone_from(job.job)
        if part >= gone_from:
            break
        outcome, answer, error_text = run(functions, job.function, codec, body, original)
        if part == 0 and policy.is_refusal(outcome, error_text):
            return outcome, b"", error_text  # all of it is refused: another worker may do better with all of it
        now = clock()
        output.end_call()
        row.add(part, outcome, answer, error_text, round((now - began) * 1e6))
        began = now
    row.send()
    return "batch", b"", ""


def run(
    functions: Functions,
    name: str,
    codec: str,
    body: Data | memoryview | tuple[Any, ...],
    original: Original,
) -> tuple[str, Data, str]:
    """Run one call; return its outcome in a word, its encoded value or exception, and what to tell people.

    People get a line, of an error also its place and traceback. Only the original process returns from it: a copy
    that the function made by forking leaves here.
    """
    function = functions.get(name)
    if function is None:
        return "worker_error", b"", f"this child does not have {name}"
    try:
        outcome = wire.run_call(function, codec, body, original)
    except wire.ForkedCopy as copy:
        forked_copies.leave(copy.error, frames_of_ours=1)
    except KeyboardInterrupt as error:
        # Children ignore SIGINT: the function raised it, and a caller's Ctrl-C must not come from a worker.
        return "worker_error", b"", f"{type(error).__name__}: {error}"
    if original.copied:
        forked_copies.leave(None)
    return outcome


def begin(sock: socket.socket, functions: Functions, output: Output) -> None:
    """Live a child's life from its first moment; never return."""
    status = 1
    try:
        lifeline.ignore_stop_signals()
        lifeline.obey_stop_signals_in_copies()
        randomness.begin_anew()
        shipped.on_worker = True
        serve(sock, functions, output)
        status = 0
    except (BrokenPipeError, ConnectionResetError, EOFError):
        status = 0  # the parent is gone
    finally:
        os._exit(status)


def main() -> None:
    """Run a spawned child from its first moment."""
    launch = launched()
    lifeline.be_a_group()
    lifeline.die_with(launch.parent)
    mark.put_on(launch.token, launch.serial)
    set_path(launch)
    output = capture_output()
    sock = socket.socket(fileno=launch.socket)
    try:
        functions: Any = resolve(launch.targets)
        run_setup(launch)
        if loaded(functions) != launch.loaded:
            raise TargetError("its code has changed since the worker was started: restart the worker")
    except TargetError as error:
        sys.stderr.write(f"simpledist-worker: {error}\n")
        with contextlib.suppress(OSError):  # the parent is gone
            ChildChannel(sock).write(Answer(UNABLE, error_text=str(error)))
        os._exit(1)
    begin(sock, functions, output)


def capture_output() -> Output:
    """Send everything that is printed from now on to the worker's stderr, line by line, marked with its job."""
    os.dup2(2, 1)
    output = Output()
    output.take_over()
    return output
