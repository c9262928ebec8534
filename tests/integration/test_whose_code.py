"""Whose code ran: a stale worker never gives its value, another function under the name does and it is said, once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import simpledist
from simpledist import wire
from simpledist.broker import Broker, Keys
from simpledist.broker.parsing import parse_reply
from simpledist.broker.records import NO_KEY, Wish
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests import commands
from tests.links import open_link
from tests.waiting import wait_until

# What a caller runs: it prints what it got, and where each value came from.
CALLER = """
import logging, sys, time
import simpledist
{imports}
logging.basicConfig(format="%(levelname)s %(message)s")
with simpledist.connect() as client:
    f = simpledist.worker_function(client, {name!r}, {local}{options})
    print(f(4), list(f.map(range(3))), f.submit(5).result())
    done = [f.submit(n) for n in range(20)]
    [one.result() for one in done]
    print({{(one.info.where, one.info.why) for one in done if one.info}})
"""
WORKER = r"worker w[0-9a-f]{12} \(\S+ on \S+, pid \d+\)"


def modules(folder: Path, **sources: str) -> Path:
    """Write modules into a folder of their own."""
    folder.mkdir()
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return folder


def call(cluster: Cluster, folder: Path, imports: str, name: str, local: str, options: str = "") -> list[str]:
    """Run a caller in a folder; return its lines, those of its log last."""
    program = CALLER.format(imports=imports, name=name, local=local, options=options)
    (folder / "caller.py").write_text(program)
    done = commands.python("caller.py", cwd=folder, url=cluster.url)
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


REMOTE, HERE = "{('remote', None)}", "{('local', 'other_code')}"


def test_an_edited_file_gives_the_callers_own_value_and_one_line_that_names_the_first_difference(
    tmp_path: Path,
) -> None:
    source = "from helped import step\nFACTOR = 1.5\ndef run(x):\n    return step(x) * FACTOR\n"
    old = modules(tmp_path / "old", fns=source, helped="def step(x):\n    return x\n")
    new = modules(tmp_path / "new", fns=source.replace("1.5", "2.5"), helped="def step(x):\n    return x\n")
    with Cluster("fns", folder=old, slots=1) as cluster:
        values, where, *log = call(cluster, new, "import fns", "run", "fns.run")
        assert (values, where) == ("10.0 [0.0, 2.5, 5.0] 12.5", HERE)
        (line,) = log
        assert re.fullmatch(
            rf"WARNING function run: fns:FACTOR is other code on {WORKER}, which is passed over: .*", line
        )
        assert call(cluster, old, "import fns", "run", "fns.run") == ["6.0 [0.0, 1.5, 3.0] 7.5", REMOTE], "no line"
        text = "function run: a client holds other code than this worker"
        wait_until(lambda: text in cluster.workers[0].stderr_text(), 10, "the worker says so as well")


def test_an_edited_helper_in_another_package_counts_as_well(tmp_path: Path, redis_server: EmbeddedRedis) -> None:
    source = "from helped import step\ndef run(x):\n    return step(x)\n"
    old = modules(tmp_path / "old", fns=source, helped="def step(x):\n    return x\n")
    new = modules(tmp_path / "new", fns=source, helped="def step(x):\n    return -x\n")
    with Cluster("fns", folder=old, slots=1, redis=redis_server):
        url = Cluster("fns", folder=new, slots=1, workers=0, redis=redis_server)
        with url as later:
            values, where, *log = call(later, new, "import fns", "run", "fns.run")
            assert (values, where) == ("-4 [0, -1, -2] -5", HERE)
            (line,) = log
            assert re.match(rf"WARNING function run: package helped is other code on {WORKER}, which is passed", line)
            assert call(later, old, "import fns", "run", "fns.run") == ["4 [0, 1, 2] 5", REMOTE], "no line"
            later.start_worker("fns", slots=1)
            values, where, *log = call(later, new, "import fns", "run", "fns.run")
            assert (values, where, log) == ("-4 [0, -1, -2] -5", REMOTE, []), "the stale worker passes its calls on"


def test_another_function_under_the_name_serves_it_and_one_line_names_both_places(tmp_path: Path) -> None:
    theirs = modules(tmp_path / "theirs", mtwo="def run(x):\n    return x * 100\n")
    ours = modules(tmp_path / "ours", mone="def run(x):\n    return x\n")
    with Cluster("mtwo", folder=theirs, slots=1) as cluster:
        values, where, *log = call(cluster, ours, "import mone", "run", "mone.run")
        assert (values, where) == ("400 [0, 100, 200] 500", REMOTE)
        (line,) = log
        assert re.fullmatch(
            rf"WARNING function run: here it is mone.run, on {WORKER} it is mtwo.run, which serves it by its name; "
            'match="code" refuses that, match="name" accepts it without this line',
            line,
        )
        values, where, *log = call(cluster, ours, "import mone", "run", "mone.run", ', match="code"')
        assert (values, where) == ("4 [0, 1, 2] 5", HERE)
        (line,) = log
        assert re.fullmatch(rf"WARNING function run: mone:run is not there on {WORKER}, which is passed over: .*", line)
        by_name = call(cluster, ours, "import mone", "run", "mone.run", ', match="name"')
        assert by_name == ["400 [0, 100, 200] 500", REMOTE], "without a word"


def test_a_lambda_goes_by_name_without_a_word_and_refuses_to_go_by_code(tmp_path: Path) -> None:
    theirs = modules(tmp_path / "theirs", mtwo="def run(x):\n    return x * 100\n")
    ours = modules(tmp_path / "ours")
    with Cluster("mtwo", folder=theirs, slots=1) as cluster:
        assert call(cluster, ours, "", "run", "lambda x: x") == ["400 [0, 100, 200] 500", REMOTE]
        values, where, line = call(cluster, ours, "", "run", "lambda x: x", ', match="code"')
        assert (values, where) == ("4 [0, 1, 2] 5", HERE)
        assert line.startswith(
            'WARNING function run: match="code" is given and its code cannot be identified: a lambda'
        )


@pytest.mark.parametrize("edited", ["the worker's", "the caller's"])
def test_a_decorated_function_of_a_script_that_is_edited_on_one_side(tmp_path: Path, edited: str) -> None:
    script = """
    import logging, simpledist
    logging.basicConfig(format="%(levelname)s %(message)s")
    client = simpledist.connect()

    @simpledist.function(client)
    def price(n):
        return n * 10

    if __name__ == "__main__":
        print([price(n) for n in range(3)], list(price.map(range(4))), price.submit(5).result())
        client.close()
    """
    changed = script.replace("n * 10", "n * 11")
    folders = [
        modules(tmp_path / "worker", prices=changed if edited == "the worker's" else script),
        modules(tmp_path / "caller", prices=changed if edited == "the caller's" else script),
    ]
    with Cluster("prices:price", folder=folders[0], slots=1) as cluster:
        done = subprocess.run(
            [sys.executable, "prices.py"],
            cwd=folders[1],
            env={**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    factor = 11 if edited == "the caller's" else 10
    assert done.stdout == f"{[n * factor for n in range(3)]} {[n * factor for n in range(4)]} {5 * factor}\n"
    (line,) = done.stderr.splitlines()
    assert re.match(rf"WARNING function price: prices:price is other code on {WORKER}", line)


def test_a_version_is_the_identity_and_other_code_under_it_is_a_line(tmp_path: Path) -> None:
    old = modules(tmp_path / "old", fns="def run(x):\n    return x\n")
    new = modules(tmp_path / "new", fns="def run(x):\n    return -x\n")
    with Cluster("fns:run@3", folder=old, slots=1) as cluster:
        values, where, line = call(cluster, new, "import fns", "run", "fns.run", ", version=3")
        assert (values, where) == ("4 [0, 1, 2] 5", REMOTE)
        assert re.match(
            rf"WARNING function run@3: fns:run is other code on {WORKER}, which serves it all the same", line
        )


@pytest.mark.parametrize("wanted", ["0d9c1a7e55b20d9c", "-"], ids=["other code", "code without a digest"])
def test_a_worker_refuses_a_call_for_code_that_it_has_not_loaded_and_is_not_struck(
    redis_server: EmbeddedRedis, tmp_path: Path, wanted: str
) -> None:
    """As if a new template had loaded an edited file, while the call was on its way."""
    fns = modules(tmp_path / "fns", fns="def run(x):\n    return x\n")
    with (
        Cluster("fns", folder=fns, slots=1, redis=redis_server) as cluster,
        cluster.connect() as client,
        open_link(cluster.url) as link,
    ):
        f = simpledist.worker_function(client, "run", abs)
        assert f(-3) == -3, "by name: it is there"
        broker, keyring = Broker(link, Keys()), client.engine.keyring
        key = keyring.signing_id.hex() if keyring else NO_KEY
        for number in range(4):
            body, now_ms = wire.encode_arguments("pickle", (3,)), round(time.time() * 1000)
            call = wire.seal_call("run", "pickle", body, keyring, wanted, nonce=wire.nonce(), sealed_at_ms=now_ms)
            words = broker.submit("run", "c0", "-", [(f"c0-{number}", bytes(call.data))], wish=Wish(key=key)).words
            assert words == ["queued"]
            element = link.call("BLPOP", Keys().reply("c0"), 20)[1]
            reply = parse_reply(element)
            assert (reply.state, reply.why) == ("failed", "other_code")
        assert f(-3) == -3, "the worker goes on"


FNS = """
import time
SIDE = {side!r}
def run(n):
    time.sleep(0.002)
    return SIDE, n
"""
PROGRAM = """
import sys, time
import fns, simpledist
with simpledist.connect() as client:
    f = simpledist.worker_function(client, "run", fns.run)
    print("ready", flush=True)
    until = time.monotonic() + 60
    while (began := time.monotonic()) < until:
        futures = [f.submit(n) for n in range(20)]
        wrong = sum(one.result() != (fns.SIDE, n) for n, one in enumerate(futures))
        wrong += sum(one != (fns.SIDE, n) for n, one in enumerate(f.map(range(40))))
        wrong += f(7) != (fns.SIDE, 7)
        remote = sum(one.info.where == "remote" for one in futures)
        print(began, remote, wrong, flush=True)
"""


class Caller:
    """A program that calls without an end, and tells after each round what it got."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        (folder / "program.py").write_text(PROGRAM)
        self._process = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=folder,
            env={**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def rounds(self, number: int) -> tuple[float, int]:
        """Wait for so many rounds that begin now; return how many percent ran remotely, and how many values are wrong.

        Wrong values of the rounds before count as well.
        """
        assert self._process.stdout is not None
        now, remote, wrong = time.monotonic(), list[int](), 0
        while len(remote) < number:
            began, there, bad = self._process.stdout.readline().split()
            wrong += int(bad)
            if float(began) > now:
                remote.append(int(there))
        return sum(remote) * 100 / (20 * number), wrong

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")], ids=" first, then ".join)
def test_in_a_rolling_upgrade_each_caller_has_the_values_of_its_own_code_from_workers(
    redis_server: EmbeddedRedis, tmp_path: Path, order: Sequence[str]
) -> None:
    """Two workers of the first code, replaced one after the other, while callers of both codes call."""
    first, second = (modules(tmp_path / side, fns=FNS.format(side=side)) for side in order)
    callers: list[Caller] = []
    with (
        Cluster("fns", folder=first, slots=1, workers=2, redis=redis_server) as before,
        Cluster("fns", folder=second, slots=1, workers=0, redis=redis_server) as after,
    ):
        try:
            callers += [Caller(before, first), Caller(before, second)]
            ours, theirs = callers
            assert ours.rounds(5) == (100, 0)
            assert theirs.rounds(5) == (0, 0), "no worker has its code yet"
            before.workers[0].stop()
            after.start_worker("fns", slots=1)
            for caller in callers:
                caller.rounds(3)  # what was under way
            for caller in callers:
                share, wrong = caller.rounds(10)
                assert (share >= 95, wrong) == (True, 0), share
            before.workers[1].stop()
            after.start_worker("fns", slots=1)
            for caller in callers:
                caller.rounds(3)
            share, wrong = theirs.rounds(10)
            assert (share >= 95, wrong) == (True, 0), share
            assert ours.rounds(5)[1] == 0
        finally:
            for caller in callers:
                caller.end()
