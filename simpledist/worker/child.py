"""A child: runs user code for one slot, one job at a time. Has no key and no connection.

Started by the template, by fork, or as a fresh interpreter (`main`) where forking is unsafe. The frames (channel.py):
in, jobs with their encoded arguments, and recalls; out, `READY` once, then an answer a job with its encoded outcome. An
answer's kind is "value", "error", or a word of job.Why where the cluster is at fault.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import deque
from typing import Any

from simpledist import wire
from simpledist.errors import TargetError, Undecodable
from simpledist.faultpoints import point
from simpledist.pieces import Data
from simpledist.worker import lifeline
from simpledist.worker.channel import ANSWER, CHUNK, PART, READY, RECALL, ChildChannel, Frame
from simpledist.worker.output import Output
from simpledist.worker.targets import Functions, resolve


def serve(sock: socket.socket, functions: Functions, output: Output) -> None:
    """Run jobs, in order, until the parent closes the channel.

    Every answer is written as soon as it is there: what has been answered survives the child. What the parent recalls
    and has not begun is forgotten: it has gone elsewhere by then.
    """
    channel = ChildChannel(sock)
    channel.write(Frame(READY))
    jobs: deque[Frame] = deque()
    while True:
        for frame in channel.read(wait=not jobs):
            if frame.kind == RECALL:
                jobs = deque(job for job in jobs if job.job < frame.job)
            else:
                jobs.append(frame)
        if channel.ended:
            return
        if jobs:
            job = jobs.popleft()
            output.job = job.first
            point("child.begins")
            began = time.perf_counter()
            if job.kind == CHUNK:
                kind, answer, line = run_each(functions, job, channel)
            else:
                kind, answer, line = run(functions, job.second, wire.CODECS[job.code], job.body)
            run_us = round((time.perf_counter() - began) * 1e6)
            output.end_job()
            point("child.ends")
            channel.write(Frame(ANSWER, job=job.job, number=run_us, first=line, second=kind, body=answer))
            del job, answer  # a big value must not stay until the next one comes


def run_each(functions: Functions, job: Frame, channel: ChildChannel) -> tuple[str, Data, str]:
    """The calls of a chunk, in order, each answered by itself."""
    try:
        calls = wire.split_calls(job.body)
    except Undecodable as error:
        return "undecodable", b"", str(error)
    codec = wire.CODECS[job.code]
    for part, body in enumerate(calls):
        began = time.perf_counter()
        kind, answer, line = run(functions, job.second, codec, body)
        run_us = round((time.perf_counter() - began) * 1e6)
        channel.write(Frame(PART, job=job.job, part=part, number=run_us, first=line, second=kind, body=answer))
    return "chunk", b"", ""


def run(functions: Functions, name: str, codec: str, body: Data | memoryview) -> tuple[str, Data, str]:
    """One call: (kind, encoded outcome, what to tell people: a line, for an error also its place and traceback)."""
    function = functions.get(name)
    if function is None:
        return "worker_error", b"", f"this child does not have {name}"
    try:
        return wire.run_call(function, codec, body)
    except KeyboardInterrupt as error:
        # Children ignore SIGINT: the function raised it, and a caller's Ctrl-C must not come from a worker.
        return "worker_error", b"", f"{type(error).__name__}: {error}"


def begin(sock: socket.socket, functions: Functions, output: Output, template: int) -> None:
    """A child's life from its first moment; never returns."""
    status = 1
    try:
        lifeline.ignore_stop_signals()
        lifeline.die_with(template)
        serve(sock, functions, output)
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0  # the parent is gone
    finally:
        os._exit(status)


def main() -> None:
    """A spawned child: `fd template-pid TARGET...`."""
    fd, template, *targets = sys.argv[1:]
    output = capture_output()
    try:
        functions: Any = resolve(targets)
    except TargetError as error:
        output.write(f"simpledist-worker: {error}\n")
        os._exit(1)
    begin(socket.socket(fileno=int(fd)), functions, output, int(template))


def capture_output() -> Output:
    """Everything that is printed from now on goes to stderr, line by line, marked with its job."""
    os.dup2(2, 1)
    output = Output()
    sys.stdout = sys.stderr = output  # type: ignore[assignment]
    return output
