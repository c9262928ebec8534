"""The command lines as a user meets them: help, errors, exit codes, and the commands that need no cluster of jobs."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.cli.main import SUBCOMMANDS
from simpledist.cluster import Cluster
from simpledist.embedded import HOST, PING, EmbeddedRedis, ask
from simpledist.wire import key_file
from tests.commands import DISTRIBUTOR, MAIN, WORKER, complaint, free_port, run
from tests.waiting import wait_until

FUNCTIONS = """
import time

def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def args(*positional, **named): return [positional, named]
def throw(message): raise ValueError(message)
def strange(): return {1, 2}
def slow(path):
    open(path, "w").close()
    time.sleep(60)
"""


# --- help ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "words"),
    [(MAIN, []), (WORKER, []), (DISTRIBUTOR, []), *((MAIN, [name]) for name in SUBCOMMANDS)],
    ids=str,
)
def test_every_command_has_help_with_an_example_and_a_version(module: str, words: list[str]) -> None:
    done = run(*words, "--help", module=module)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +simpledist", done.stdout, re.MULTILINE), "no example"
    assert "--version" in done.stdout
    version = run(*words, "--version", module=module)
    assert version.returncode == 0
    assert re.fullmatch(r"simpledist[a-z -]* \d+\.\d+\.\d+\n", version.stdout)


def test_help_needs_neither_redis_nor_flask_nor_rich() -> None:
    program = (
        "import sys\n"
        "from simpledist.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('redis', 'flask', 'rich', 'cloudpickle') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_subcommand_the_help_is_shown() -> None:
    done = run()
    assert done.returncode == 2
    assert "secret" in done.stderr + done.stdout


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "words", "expected"),
    [
        (MAIN, ["nonsense"], "nonsense"),
        (MAIN, ["call"], "NAME"),
        (MAIN, ["redis", "--port", "x"], "--port"),
        (MAIN, ["call", "fib", "--redis", "http://localhost"], "redis://"),
        (MAIN, ["call", "fib", "--redis", "redis://example.com"], "simpledist secret FILE"),
        (MAIN, ["call", "no spaces"], "function name"),
        (MAIN, ["call", "fib", "--namespace", "a b"], "namespace"),
        (MAIN, ["call", "fib", "--timeuot", "3", "20"], "--timeout"),
        (MAIN, ["call", "args", "a=1", "2"], "write key=value last"),
        (MAIN, ["call", "args", "a=1", "a=2"], "a= is given twice"),
        (MAIN, ["jobs", "--functoin", "fib"], "--function"),
        (MAIN, ["statsu"], "did you mean status?"),
        (MAIN, ["call", "fib", "--secret-file", "/no/such/file"], "/no/such/file"),
        (WORKER, [], "TARGET"),
        (WORKER, ["fns:fib", "--slots", "0"], "--slots"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do_and_exit_code_2(
    module: str, words: list[str], expected: str
) -> None:
    done = run(*words, module=module)
    assert expected in complaint(done)
    assert done.returncode == 2


# --- secret ----------------------------------------------------------------------------------------------------


def test_secret_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    done = run("secret", str(file))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key_file.keyring_from(str(file))


def test_secret_needs_no_key_to_make_one(tmp_path: Path) -> None:
    done = run("secret", str(tmp_path / "key"), "--redis", "redis://example.com")
    assert done.returncode == 0, done.stderr


def test_secret_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("precious")
    done = run("secret", str(file))
    assert done.returncode == 2
    assert "exists" in complaint(done)
    assert file.read_text() == "precious"


def test_secret_in_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = run("secret", str(tmp_path / "nowhere" / "key"))
    assert done.returncode == 2
    assert "nowhere" in complaint(done)


# --- redis -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_redis_serves_until_a_signal_stops_it(number: signal.Signals) -> None:
    port = free_port()
    line = [sys.executable, "-m", MAIN, "redis", "--port", str(port)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: ask((HOST, port), PING) == b"+PONG\r\n" or process.poll() is not None, 10, "an answer")
        assert process.stdout is not None
        assert str(port) in process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
    assert ask((HOST, port), PING) == b""


def test_redis_says_which_redis_holds_the_port() -> None:
    with EmbeddedRedis(port=0) as server:
        done = run("redis", "--port", str(server.port))
    assert done.returncode == 2
    assert re.search(r"a Redis \d+\.\d+\.\d+ answers on 127\.0\.0\.1:\d+ already", complaint(done))


def test_redis_says_that_something_else_holds_the_port() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        done = run("redis", "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot be had" in complaint(done)


def test_redis_says_so_if_its_server_dies() -> None:
    port = free_port()
    line = [sys.executable, "-m", MAIN, "redis", "--port", str(port)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = re.search(r"pid (\d+)", process.stdout.readline())
        assert pid is not None
        os.kill(int(pid[1]), signal.SIGKILL)
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 1
        assert "ended by itself" in errors


# --- call ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "called.py").write_text(FUNCTIONS)
    with Cluster(["called", "newer=called:fib@2"], folder=folder, slots=2) as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["fib", "20"], "6765"),
        (["newer@2", "10"], "55"),
        (
            ["args", "1", '"1"', "[1, 2]", "word", '{"a": null}', "-5"],
            '[[1, "1", [1, 2], "word", {"a": null}, -5], {}]',
        ),
        (["strange"], "{1, 2}"),
        (["args", "1", "key=[2]", "word=a=b", "none="], '[[1], {"key": [2], "word": "a=b", "none": ""}]'),
        (["args", '"a=b"', "a==b", "1=2", "https://x/?a=b"], '[["a=b", "a==b", "1=2", "https://x/?a=b"], {}]'),
        (["args", "--", "--dashes"], '[["--dashes"], {}]'),
    ],
)
def test_call_prints_what_a_worker_returns(cluster: Cluster, words: list[str], printed: str) -> None:
    done = run("call", "--redis", cluster.url, *words)
    assert (done.stdout, done.stderr, done.returncode) == (printed + "\n", "", 0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["throw", "too bad"], "throw raised ValueError: too bad"),
        (["throw"], "throw raised TypeError: "),
        (["nobody"], "nobody: no live worker offers it"),
        (["fib@7", "1"], "fib@7: no live worker offers it"),
        (["fibb", "1"], "did you mean fib?"),
        (["fib", "m=1"], "fib raised TypeError: "),
        (["--timeout", "0.2", "fib", "35"], "fib: it took longer than --timeout"),
    ],
)
def test_call_never_runs_here_and_says_why_it_did_not_return(cluster: Cluster, words: list[str], expected: str) -> None:
    done = run("call", "--redis", cluster.url, *words)
    assert expected in complaint(done)
    assert done.returncode == 1


def test_call_without_a_redis_is_one_line() -> None:
    done = run("call", "--redis", f"redis://{HOST}:{free_port()}", "fib", "20")
    assert re.fullmatch(
        r"simpledist call: fib: Redis at redis://\S+ cannot be reached: .*; start it \(.*\), or .*", complaint(done)
    )
    assert done.returncode == 1


def test_ctrl_c_gives_the_call_up(cluster: Cluster, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    line = [sys.executable, "-m", MAIN, "call", "--redis", cluster.url, "slow", str(begun)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(begun.exists, 10, "the begin of the job")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert (process.returncode, output, errors.strip()) == (130, "", "")


def test_options_before_the_subcommand_count_as_much_as_behind_it() -> None:
    url = f"redis://{HOST}:{free_port()}"
    before, behind = run("--redis", url, "status"), run("status", "--redis", url)
    assert before.returncode == behind.returncode == 1
    assert complaint(before) == complaint(behind)
    assert url in complaint(before)
    assert run("--redis", "http://x", "status", "--redis", url).stderr == behind.stderr, "the nearest counts"


def test_fingerprint_lists_what_would_travel(tmp_path: Path) -> None:
    for name, text in {
        "lib/__init__.py": "from lib import core\n",
        "lib/core.py": "def f(): ...\n",
        "lib/unused.py": "",
        "big.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "big.py").write_text("def f(): ...\n#" + "x" * 11_000_000)
    listed = run("fingerprint", "lib.core:f", "--files", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines() == ["       21  lib/__init__.py", "       13  lib/core.py", "2 files"]
    nothing = run("fingerprint", "os.path:join", "--files", cwd=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (0, "no file travels: it needs no module of yours\n")
    big = run("fingerprint", "big:f", "--files", cwd=tmp_path)
    assert big.returncode == 1
    assert big.stdout == "nothing travels, calls run here: big.py has 11 MB; files of 10 MB at most travel\n"


def test_fingerprint_prints_the_digest_and_the_tree_or_says_why_there_is_none() -> None:
    known = run("fingerprint", "simpledist.job:version_of")
    assert known.returncode == 0, known.stderr
    digest, *tree = known.stdout.splitlines()
    assert len(digest.split()[0]) == 16
    assert "simpledist.job:version_of, line" in tree[0]
    none = run("fingerprint", "math:sqrt")
    assert none.returncode == 1
    assert "has no digest: the source of math" in none.stdout
    wrong = run("fingerprint", "simpledist.job:nothing")
    assert wrong.returncode == 2
    assert "simpledist.job has no nothing" in complaint(wrong)
