"""Commands on streams, terminals and words as shells have them: no traceback, and nothing that is lost in silence."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.commands import DISTRIBUTOR, MAIN, WORKER, complaint, free_port, run

FUNCTIONS = """
def args(*positional): return list(positional)
def power(n): return 10**n
def letters(): return {"\\xe9\\u03a9\\U0001f600"}
def surrogate(): return {"\\udcff"}
def throw(): raise ValueError("\\xe9\\u03a9 \\udcff\\nsecond line")
"""
# In the order of their reading: nothing of stdin, stdout, stderr, all; full ones.
STREAMS = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "streamed.py").write_text(FUNCTIONS)
    with Cluster("streamed", folder=folder, slots=1) as cluster:
        yield cluster


def shell(
    script: str, *words: str, module: str = MAIN, environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run `script`, in which "$@" is the command: exit code, stdout, stderr."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", module, *words],
        check=False,
        capture_output=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
    )
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "--json"], 0),
        (["call", "args", "1"], 0),
        (["doctor"], 0),
        (["cancel", "c1-1"], 1),
        (["nonsense"], 2),
    ],
    ids=str,
)
def test_a_stream_that_is_closed_or_full_is_no_traceback(
    cluster: Cluster, streams: str, words: Sequence[str], code: int
) -> None:
    line = [*words] if words == ["nonsense"] else [*words, "--redis", cluster.url]
    found, output, errors = shell(f'exec "$@" {streams}', *line)
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 1
    assert found == (1 if code == 0 and ">/dev/full" in streams.replace("2>/dev/full", "") else code)
    if streams == ">/dev/full" and code == 0:
        assert errors == "simpledist: cannot write its output: No space left on device\n"
    if streams in ("<&-", "2>&-", "2>/dev/full") and code == 0:
        assert output


def test_a_reader_that_has_seen_enough_is_not_reported_as_an_error(cluster: Cluster) -> None:
    for end in ("head -1", "true"):
        assert shell(f'"$@" | {end}', "workers", "--redis", cluster.url)[2] == ""


@pytest.mark.parametrize(("module", "word"), [(DISTRIBUTOR, "--host"), (WORKER, "--slots"), (MAIN, "Commands")])
def test_every_entry_runs_with_all_streams_closed(module: str, word: str) -> None:
    assert shell('exec "$@" <&- >&- 2>&-', "--help", module=module)[0] == 0
    assert word in shell('exec "$@" <&- 2>&-', "--help", module=module)[1]


PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "environment", [PLAIN_C, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}], ids=str
)
def test_a_terminal_of_any_encoding_shows_what_it_can(cluster: Cluster, environment: dict[str, str]) -> None:
    def said(*words: str) -> tuple[int, str, str]:
        return shell('exec "$@"', *words, "--redis", cluster.url, environment=environment)

    assert said("call", "letters")[0] == 0
    assert said("call", "surrogate") == (0, "{'\\udcff'}\n", "")
    assert said("call", "args", "é") == (0, '["\\u00e9"]\n', ""), "an argument is text whatever the locale"
    code, output, errors = said("call", "throw")
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    code, _, errors = said("call", "é")
    assert (code, len(errors.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["power", "5000"], "1" + "0" * 5000),
        (["args", "1" + "0" * 5000], "[1" + "0" * 5000 + "]"),
        (["args", "NaN", "Infinity", "-Infinity"], '["NaN", "Infinity", "-Infinity"]'),
        (["args", ""], '[""]'),
        (["args", '"\\ud800"'], '["\\ud800"]'),
        (["args", os.fsdecode(b"\xff\xfe")], '["\\udcff\\udcfe"]'),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_odd_arguments_and_results_come_through(cluster: Cluster, words: Sequence[str], printed: str) -> None:
    done = run("call", "--redis", cluster.url, *words)
    assert (done.stdout, done.stderr, done.returncode) == (printed + "\n", "", 0)


@pytest.mark.parametrize("argument", ["[" * 30_000, "[" * 30_000 + "]" * 30_000])
def test_an_argument_that_is_nested_too_deeply_is_one_line(cluster: Cluster, argument: str) -> None:
    done = run("call", "--redis", cluster.url, "args", argument)
    assert done.returncode == 2
    assert "nested too deeply" in complaint(done)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm-256color"}], ids=str)
@pytest.mark.parametrize("command", ["status", "workers", "jobs", "errors", "doctor"])
def test_a_narrow_terminal_without_colours_is_enough(
    cluster: Cluster, command: str, environment: dict[str, str]
) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", MAIN, command, "--redis", cluster.url]
    with subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "20", **environment}
    ) as process:
        _, errors = process.communicate(timeout=30)
    os.close(theirs)
    output = b""
    try:
        while data := os.read(ours, 65536):
            output += data
    except OSError:  # the end, on Linux
        pass
    os.close(ours)
    assert (process.returncode, errors) == (0, b"")
    assert b"\x1b[3" not in output, "a colour"
    assert b"Traceback" not in output


def test_a_signal_that_was_blocked_at_the_start_still_ends_it() -> None:
    port = free_port()
    line = [sys.executable, "-m", MAIN, "redis", "--port", str(port)]

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

    with subprocess.Popen(line, stdout=subprocess.PIPE, preexec_fn=block) as process:
        assert process.stdout is not None
        assert str(port).encode() in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("staus", "status"),
        ("wokers", "workers"),
        ("worker", "simpledist-worker"),
        ("distributer", "simpledist-distrib"),
    ],
)
def test_a_mistyped_command_is_answered_with_what_was_meant(word: str, meant: str) -> None:
    done = run(word)
    assert done.returncode == 2
    assert f"did you mean {meant}" in complaint(done)


@pytest.mark.parametrize(
    ("module", "words", "expected"),
    [
        (MAIN, ["call", "--timeout", "nan", "fib"], "no number of seconds"),
        (MAIN, ["call", "--timeout", "inf", "fib"], "no number of seconds"),
        (MAIN, ["top", "--seconds", "nan"], "no number of seconds"),
        (MAIN, ["status", "--jsn"], "--jsn"),
        (MAIN, ["redis", "--port", "0"], "--port"),
        (MAIN, ["redis", "--port", "99999"], "--port"),
        (MAIN, ["status", "--redis", "redis://localhost/0?sockettimeout=1"], "did you mean socket_timeout?"),
        (MAIN, ["call", "fib", "--secret-file", "/"], "it is a folder"),
        (WORKER, ["--slots", "-1", "fns"], "--slots"),
        (WORKER, ["--slots", "x", "fns"], "--slots"),
        (WORKER, ["--slots", "1000000000", "fns"], "--slots"),
        (WORKER, ["--grace", "nan", "fns"], "--grace"),
        (WORKER, ["no_such_module:fn"], "no module no_such_module"),
        (DISTRIBUTOR, ["--port", "99999"], "--port"),
        (DISTRIBUTOR, ["--secret-file", "/no/such"], "simpledist secret /no/such"),
        (MAIN, ["status", "--secret-file", "/no/such"], "simpledist secret /no/such"),
        (DISTRIBUTOR, ["--redis", "redis://localhost/0?ssl_cert_reqs=none"], "rediss://"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(module: str, words: Sequence[str], expected: str) -> None:
    done = run(*words, module=module)
    assert expected in complaint(done)
    assert done.returncode == 2


def power(_: int) -> int:
    return -1


@pytest.mark.parametrize("seconds", [1e10, float("inf")])
def test_another_thread_may_wait_centuries_for_a_result(cluster: Cluster, seconds: float) -> None:
    with cluster.connect() as client, ThreadPoolExecutor(1) as pool:
        future = simpledist.worker_function(client, "power", power).submit(3)
        assert pool.submit(future.result, seconds).result(20) == 1000


def test_an_empty_secret_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    done = run("call", "fib", "--secret-file", str(file))
    assert done.returncode == 2
    assert "64 hex digits" in complaint(done)
