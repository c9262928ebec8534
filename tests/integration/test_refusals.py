"""A Redis that does not serve us never looks like an empty cluster: commands, pages and metrics name the cause.

Each right of the dashboard's user in docs/acl.md is taken away in turn: what is shown afterwards is all that there is,
or the refusal is shown in its place.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from simpledist.cli.main import main
from simpledist.embedded import HOST, PING, EmbeddedRedis, ask
from simpledist.errors import RedisDown, RedisRefused
from simpledist.monitor import Monitor
from tests import servers
from tests.commands import free_port, run
from tests.links import open_link
from tests.stage import Stage
from tests.waiting import wait_until
from tests.web.site import PAGES, application

ROOT = Path(__file__).parents[2]
(_RIGHTS,) = re.findall(r"^user dashboard on >\S+ (.*)$", (ROOT / "docs" / "acl.md").read_text(), re.MULTILINE)
RIGHTS = _RIGHTS.split()
TAKEN = [word for word in RIGHTS if word[0] in "+~"]
LOOKS = (["status"], ["status", "--json"], ["workers"], ["jobs"], ["errors"])


@pytest.fixture
def staged(redis_of_module: EmbeddedRedis) -> Iterator[Stage]:
    """A cluster with something in every list that a command or a page shows, as of now: pages show the last minute."""
    stage = Stage(redis_of_module)
    stage.worker("w1", "fib", "gcd@2")
    stage.run(3)
    stage.run(2, error="ValueError: no")
    stage.submit(7)
    stage.broker.claim("w1", "n", "fib", [], [0, 1])
    yield stage
    stage.link.call("FLUSHALL")
    stage.close()


def allow(stage: Stage, words: list[str]) -> str:
    """Give the user `looks` these rights; the URL under which it comes."""
    stage.link.call("ACL", "SETUSER", "looks", "reset", "on", ">p", *words)
    return stage.server.url.replace("unix://", "unix://looks:p@")


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command in this process: its exit code, and what it wrote."""
    with pytest.raises(SystemExit) as end:
        main(words)
    output, errors = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, re.sub(r"\d+\.\d+", "0.5", output), errors


@pytest.mark.parametrize("taken", TAKEN)
def test_without_any_one_right_a_command_shows_all_or_says_what_it_lacks(
    staged: Stage, capsys: pytest.CaptureFixture[str], taken: str
) -> None:
    full = {tuple(words): command(capsys, *words, "--redis", allow(staged, RIGHTS)) for words in LOOKS}
    url = allow(staged, [word for word in RIGHTS if word != taken])
    for words in LOOKS:
        code, output, errors = command(capsys, *words, "--redis", url)
        if code == 0:
            assert (output, errors) == full[tuple(words)][1:]
            continue
        assert code == 2
        assert len(errors.splitlines()) == 1
        assert "NOPERM" in errors or "client name" in errors
        assert "docs/acl.md" in errors
        if "--json" in words:
            report = json.loads(output)
            assert report["redis"]["error"]
            assert report["redis"]["remedy"]
        else:
            assert output in ("", full[tuple(words)][1])


@pytest.mark.parametrize("taken", TAKEN)
def test_without_any_one_right_a_page_shows_all_or_a_banner(staged: Stage, taken: str) -> None:
    def shown(url: str) -> dict[str, tuple[int, set[str], str]]:
        monitor = Monitor.connect(url)
        client = application(monitor).test_client()
        answers = {path: client.get(path) for path in PAGES}
        found = {
            path: (one.status_code, set(re.findall(r'href="([^"]*)"', one.text)), one.text)
            for path, one in answers.items()
        }
        monitor.close()
        return found

    full = shown(allow(staged, RIGHTS))
    for path, (code, links, text) in shown(allow(staged, [word for word in RIGHTS if word != taken])).items():
        assert full[path][0] == 200
        if code == 200:
            assert links == full[path][1], path
        else:
            assert code == 503
            assert "Redis refuses us" in text
            assert "docs/acl.md" in text
            assert "Nothing runs yet" not in text


# --- servers that refuse everybody -----------------------------------------------------------------------------------


@contextmanager
def node_without_slots(binary: str, folder: Path) -> Generator[str]:
    with EmbeddedRedis(binary, port=0, folder=folder, arguments=["--cluster-enabled", "yes"]) as server:
        yield server.url


@contextmanager
def node_that_points_elsewhere(binary: str, folder: Path) -> Generator[str]:
    """A node that answers MOVED: another one has all the slots."""
    node = ["--cluster-enabled", "yes"]
    first = EmbeddedRedis(binary, port=0, folder=folder / "first", arguments=node)
    second = EmbeddedRedis(binary, port=0, folder=folder / "second", arguments=node)
    with first, second, open_link(first.url) as link, open_link(second.url) as other:
        other.call("CLUSTER", "ADDSLOTS", *range(16384))
        link.call("CLUSTER", "MEET", HOST, second.port or 0)

        def moved() -> bool:
            try:
                link.call("GET", "key")
            except RedisRefused as error:
                return str(error).startswith("MOVED")
            except RedisDown:  # CLUSTERDOWN, until it has heard of the other
                link.connect()
            return False

        wait_until(moved, 20, "the first node knows whom to point to")
        yield first.url


@contextmanager
def wrong_password(binary: str, folder: Path) -> Generator[str]:
    with EmbeddedRedis(binary, port=0, arguments=["--requirepass", "right"]) as server:
        yield server.url.replace("//", "//:wrong@")


@contextmanager
def wrong_database(binary: str, folder: Path) -> Generator[str]:
    with EmbeddedRedis(binary, port=0) as server:
        yield server.url.removesuffix("/0") + "/99"


@contextmanager
def replica(binary: str, folder: Path) -> Generator[str]:
    with EmbeddedRedis(binary, port=0) as primary, EmbeddedRedis(binary, port=0) as server:
        with open_link(server.url) as link:
            link.call("REPLICAOF", HOST, primary.port or 0)
            wait_until(lambda: b"link_status:up" in link.call("INFO", "replication"), 20, "it follows its primary")
        yield server.url


@contextmanager
def still_loading(binary: str, folder: Path) -> Generator[str]:
    """A server that needs a minute for its file."""
    plain = ["--rdbcompression", "no"]
    with EmbeddedRedis(binary, port=0, folder=folder, arguments=plain) as server, open_link(server.url) as link:
        link.call("EVAL", "for i = 1, 3000 do redis.call('SET', 'k' .. i, string.rep('x', 2000)) end", 0)
        link.call("SAVE")
    port = free_port()
    slow = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
    line = [binary, "--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", "", *slow]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: ask((HOST, port), PING).startswith(b"-LOADING"), 20, "it loads")
            yield f"redis://{HOST}:{port}/0"
        finally:
            process.kill()


@contextmanager
def no_redis(binary: str, folder: Path) -> Generator[str]:
    """A server of another kind."""
    server = ThreadingHTTPServer((HOST, 0), SimpleHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *words: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"redis://{HOST}:{server.server_port}/0"
    server.shutdown()
    server.server_close()
    thread.join()


Refusing = Callable[[str, Path], AbstractContextManager[str]]
REFUSING: dict[Refusing, str] = {
    node_without_slots: "a node of a Redis Cluster",
    node_that_points_elsewhere: "a node of a Redis Cluster",
    wrong_password: "password",
    wrong_database: "no database of that number",
    replica: "a replica",
    still_loading: "loading",
    no_redis: "does not speak Redis' protocol",
}


@pytest.mark.parametrize("kind", REFUSING, ids=[kind.__name__ for kind in REFUSING])
def test_a_server_that_serves_no_one_is_named_with_its_cause(kind: Refusing, tmp_path: Path) -> None:
    cause = REFUSING[kind]
    with kind(servers.server(servers.NEWER), tmp_path) as url:
        for words in (*LOOKS, ["call", "fib", "3"], ["cancel", "c1-1"]):
            done = run(*words, "--redis", url)
            assert done.returncode == 2, (words, done)
            assert len(done.stderr.splitlines()) == 1, (words, done)
            assert cause in done.stderr
            if "--json" in words:
                report = json.loads(done.stdout)
                assert cause in report["redis"]["error"]
                assert not report["redis"]["ok"]
            else:
                assert done.stdout == ""
        report = json.loads(run("doctor", "--json", "--redis", url).stdout)
        assert cause in report["checks"][0]["text"]
        assert report["checks"][0]["remedy"]
        monitor = Monitor.connect(url)
        client = application(monitor).test_client()
        for path in PAGES:
            answer = client.get(path)
            assert answer.status_code == 503
            assert "Redis refuses us" in answer.text
            assert cause in html.unescape(answer.text)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.text) == (503, "Redis refuses us\n")
        assert "simpledist_up 0.0" in client.get("/metrics").text
        assert client.get("/api/snapshot.json").status_code == client.get("/api/stream.json").status_code == 503
        monitor.close()


@pytest.mark.leaves_keys
def test_a_foreign_value_at_our_key_is_reported_behind_what_could_be_read(staged: Stage) -> None:
    staged.link.call("SET", "simpledist:meta:gcd@2", "foreign")
    try:
        done = run("status", "--redis", staged.server.url)
        assert done.returncode == 2
        assert "fib\t" in done.stdout
        assert "WRONGTYPE" in done.stderr
        assert "simpledist:meta:gcd@2" in done.stderr
        monitor = Monitor.connect(staged.server.url)
        text = application(monitor).test_client().get("/functions").text
        monitor.close()
        assert "simpledist:meta:gcd@2" in text
        assert 'href="/functions/fib"' in text
    finally:
        staged.link.call("DEL", "simpledist:meta:gcd@2")
