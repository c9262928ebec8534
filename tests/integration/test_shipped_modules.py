"""A worker needs none of its callers' code: with `--any`, in an empty folder, it runs what they have."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.code.archive_format import packed
from tests.links import open_link
from tests.programs import shown_by
from tests.waiting import wait_until

KEYS = Keys()
ANY = "simpledist.any@{}.{}".format(*sys.version_info)
LIBRARY = {
    "lib/__init__.py": "",
    "lib/core.py": "from . import near\nimport helper\n\nclass Thing:\n    def __init__(self, value):\n        "
    "self.value = value\n\n"
    "def work(x):\n    return near.double(x) + helper.one()\n\n"
    "def grown(thing):\n    return Thing(thing.value + 1)\n\n"
    "def raises(x):\n    return near.double(None)\n\n"
    "def value(thing):\n    return thing.value\n\n"
    "def where():\n    return __file__\n",
    "lib/near.py": "def double(x):\n    return 2 * x\n",
    "helper.py": "def one():\n    return 1\n",
}
LIBRARY_BYTES = {name: text.encode() for name, text in LIBRARY.items()}
BEGIN = """
import json, os, sys, importlib, subprocess, simpledist
from pathlib import Path
dist = simpledist.connect()
executor = dist.executor()

def said(future):
    try:
        value = future.result(30)
    except BaseException as error:
        value = f"{type(error).__name__}: {error}"
    return [value, future.info.where, future.info.why]

def show(what):
    print(json.dumps(what), flush=True)
"""


Run = Callable[..., list[Any]]


@pytest.fixture
def run(bare_cluster: Cluster, tmp_path: Path) -> Run:
    """Run a program beside modules of its own; return what it has shown."""

    def run(program: str, files: dict[str, str] = LIBRARY, folder: str = "project") -> list[Any]:
        environment = {"SIMPLEDIST_REDIS_URL": bare_cluster.url}
        return shown_by(program, files, tmp_path / folder, begin=BEGIN, environment=environment)

    return run


def test_functions_of_own_modules_run_there_by_every_way(run: Run) -> None:
    shown = run("""
        import lib.core as core
        named = simpledist.worker_function(dist, "work", core.work)

        def own(x):
            return core.work(x) + 100

        show(said(named.submit(1)))  # first: nothing is known of any worker
        show(said(executor.submit(own, 1)))
        show(said(named.submit(2)))
        show(named(3))
        show(list(named.map(range(4))))
        future = executor.submit(core.grown, core.Thing(1))
        show([type(future.result(30)) is core.Thing, future.result().value, future.info.where])
        show(said(executor.submit(core.raises, 1))[1])
        show("archives" in executor.submit(core.where).result(30))
        show(said(simpledist.worker_function(dist, "work", core.work, ship=False).submit(1)))
    """)
    assert shown == [
        [3, "remote", None],
        [103, "remote", None],
        [5, "remote", None],
        7,
        [1, 3, 5, 7],
        [True, 2, "remote"],
        "remote",
        True,
        [3, "local", "no_worker"],
    ]


def test_the_code_is_the_callers_after_each_edit(run: Run) -> None:
    shown = run("""
        import lib.core as core, helper
        show(said(executor.submit(core.work, 1)))
        for number in (10, 20, 30):
            Path("helper.py").write_text(f"def one():\\n    return {number}\\n")
            importlib.reload(helper)
            show(said(executor.submit(core.work, 1)))
    """)
    assert shown == [[2 + one, "remote", None] for one in (1, 10, 20, 30)]


def test_programs_with_modules_of_one_name_never_meet(run: Run, bare_cluster: Cluster) -> None:
    program = """
        import lib.core as core
        show([said(future) for future in [executor.submit(core.work, n) for n in range(20)]])
    """
    for turn in range(3):
        for number in (1, 1000):
            other = 1001 - number
            files = {
                **LIBRARY,
                f"only{number}.py": "",
                "helper.py": f"import sys, only{number}\n\n"
                f"def one():\n    return {number} if 'only{other}' not in sys.modules else -1\n",
            }
            (shown,) = run(program, files, folder=f"project{number}")
            assert shown == [[2 * n + number, "remote", None] for n in range(20)], turn


def test_modules_of_the_worker_itself_are_not_found(tmp_path: Path, run: Run, bare_cluster: Cluster) -> None:
    (tmp_path / "empty" / "helper.py").write_text("def one():\n    return 7\n")
    own = bare_cluster.start_worker("helper", arguments=["--any"])
    bare_cluster.workers[0].stop()
    shown = run("""
        import lib.core as core, helper
        show(said(executor.submit(core.work, 1)))
        show(said(simpledist.worker_function(dist, "one", helper.one).submit()))
        show(said(simpledist.worker_function(dist, "one", lambda: 0).submit()))
        show(said(executor.submit(core.work, 2)))
    """)
    assert own.running
    # The caller's own code, wherever there is another; and by name what the worker offers.
    assert shown == [[3, "remote", None], [1, "remote", None], [7, "remote", None], [5, "remote", None]]


def test_a_worker_that_offers_it_by_name_is_found_within_two_seconds(
    run: Run, bare_cluster: Cluster, link: Link, tmp_path: Path
) -> None:
    """Calls go straight to one with `--any` for a second after the last that was refused by name."""

    def start() -> None:
        wait_until(lambda: (tmp_path / "project" / "ready").exists(), 30, "calls are shipped")
        bare_cluster.start_worker("helper", environment={"PYTHONPATH": str(tmp_path / "project")})
        (tmp_path / "project" / "go").touch()

    thread = threading.Thread(target=start)
    thread.start()
    shown = run("""
        import helper, time
        one = simpledist.worker_function(dist, "one", helper.one)
        show([one(), said(one.submit())[1]])
        Path("ready").touch()
        while not Path("go").exists():
            one()
        began = time.monotonic()
        while (future := one.submit()).result() and future.info.version:  # "3.11": of what takes any function
            assert time.monotonic() - began < 2
        show([future.info.where, future.info.version, one()])
    """)
    thread.join()
    assert shown == [[1, "remote"], ["remote", None, 1]]


def test_what_a_worker_lacks_runs_at_home(run: Run) -> None:
    shown = run(
        """
        import lib.core as core
        import mine

        def unseen():
            return importlib.import_module("".join(["mi", "ne"])).x

        show(said(executor.submit(mine.third)))
        show(said(executor.submit(unseen)))
        show(said(executor.submit(core.work, 1)))
        """,
        {
            **LIBRARY,
            "mine.py": "x = 5\n\ndef third():\n    import nowhere_to_be\n    return nowhere_to_be.x\n",
        },
    )
    assert shown == [
        ["ModuleNotFoundError: No module named 'nowhere_to_be'", "local", "undecodable"],
        [5, "local", "undecodable"],
        [3, "remote", None],
    ]


def test_a_file_that_a_worker_lacks_is_read_at_home(run: Run) -> None:
    shown = run(
        """
        import loose

        Path("here.txt").write_text("five")
        show(said(executor.submit(loose.text, "here.txt")))
        show(said(executor.submit(loose.text, "nowhere.txt")))
        show(said(executor.submit(loose.own)))
        show(said(simpledist.worker_function(dist, "text", loose.text).submit("here.txt")))
        show(said(executor.submit(loose.size, 4)))
        """,
        {
            "loose.py": "from pathlib import Path\n\ndef text(name):\n    return Path(name).read_text()\n\n"
            "def own():\n    raise FileNotFoundError('no such thing')\n\ndef size(x):\n    return x\n",
        },
    )
    assert shown == [
        ["five", "local", "undecodable"],
        ["FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.txt'", "local", "undecodable"],
        ["FileNotFoundError: no such thing", "remote", None],
        ["five", "local", "undecodable"],
        [4, "remote", None],
    ]


@pytest.fixture
def link(bare_cluster: Cluster) -> Iterator[Link]:
    with open_link(bare_cluster.url) as one:
        yield one


def archives_in(link: Link) -> list[str]:
    return [key.decode() for key in link.call("KEYS", KEYS.named("archive", "*"))]


SPOILED = """
    import lib.core as core
    import time
    show(said(executor.submit(core.work, 1)))
    Path("ready").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    for number in range(3):
        show(said(executor.submit(core.work, number)))
"""


@pytest.mark.parametrize("spoiling", ["gone", "forged", "cut short", "another's", "a list"])
def test_a_spoiled_archive_is_never_run(
    spoiling: str, run: Run, bare_cluster: Cluster, link: Link, tmp_path: Path
) -> None:
    """Anyone who writes to Redis without the key can have calls run at home, and no more."""
    project = tmp_path / "project"

    def spoil() -> None:
        wait_until(lambda: (project / "ready").exists(), 30, "the first call has run")
        (key,) = archives_in(link)
        data = link.call("GET", key)
        if spoiling == "gone":
            link.call("DEL", key)
        elif spoiling == "forged":
            link.call("SET", key, packed({**LIBRARY_BYTES, "helper.py": b"def one():\n    return 666\n"}).data)
        elif spoiling == "cut short":
            link.call("SET", key, data[:-20])
        elif spoiling == "another's":
            link.call("SET", key, b"PK\x05\x06" + bytes(18))
        else:
            link.call("DEL", key)
            link.call("RPUSH", key, "x")
        # Another worker has to fetch it.
        bare_cluster.start_worker(arguments=["--any"], environment={"XDG_CACHE_HOME": str(tmp_path / "other")})
        bare_cluster.workers[0].stop()
        (project / "go").touch()

    thread = threading.Thread(target=spoil)
    thread.start()
    shown = run(SPOILED)
    thread.join()
    assert [one[0] for one in shown] == [3, 1, 3, 5]
    assert shown[1][1:] == ["local", "undeliverable" if spoiling == "a list" else "undecodable"]
    if spoiling == "gone":
        assert shown[3] == [5, "remote", None]


def test_an_emptied_redis_gets_it_again(run: Run, bare_cluster: Cluster, link: Link, tmp_path: Path) -> None:
    shown = run(f"""
        import lib.core as core
        import time
        show(said(executor.submit(core.work, 1)))
        from simpledist.broker import Link
        link = Link({bare_cluster.url!r}, name="tests")
        link.connect()
        link.call("FLUSHALL")
        until = time.monotonic() + 20
        while not link.call("KEYS", "*:archive") and time.monotonic() < until:
            executor.submit(core.work, 1).result()
        show(said(executor.submit(core.work, 2)))
    """)
    assert shown == [[3, "remote", None], [5, "remote", None]]
    assert len(archives_in(link)) == 1


def test_calls_begin_in_their_order_while_their_modules_are_on_their_way(
    run: Run, bare_cluster: Cluster, link: Link
) -> None:
    """And one download of an archive is enough for all calls that wait for it."""
    bare_cluster.start_worker(arguments=["--any"], slots=1)
    bare_cluster.workers[0].stop()
    program = """
        import timed
        sys.setswitchinterval(1e-6)  # the threads that send take turns after every step
        for n in range(25):
            with open("timed.py", "a") as file:
                file.write(f"# {n}\\n")
            importlib.reload(timed)  # another archive
            times = list(executor.map(timed.when, range(400)))
            show([[times.index(one) for one in sorted(times)], *said(executor.submit(timed.when, 0))[1:]])
    """
    shown = run(program, {"timed.py": "import time\n\ndef when(_):\n    return time.monotonic()\n"})
    assert shown == 25 * [[list(range(400)), "remote", None]]
    (begun,) = re.findall(rb"cmdstat_getrange:calls=(\d+)", link.call("INFO", "commandstats"))
    assert int(begun) == 25  # each is one slice


def test_a_call_with_other_modules_does_not_wait_behind_a_long_one(run: Run, bare_cluster: Cluster) -> None:
    """It goes back to its queue, where it can be cancelled, and where another worker finds it."""
    bare_cluster.start_worker(arguments=["--any"], slots=1)
    bare_cluster.workers[0].stop()
    shown = run(
        f"""
        import time, one, two
        from simpledist.broker import Link

        def call(function):
            return function()

        for function in [two.nothing] + 5 * [one.nothing]:  # so short that the next one may wait in the child
            executor.submit(call, function).result(30)
        began = time.monotonic()
        # The one before the last is taken to wait behind the long one: two are more than a single slot could begin.
        outcomes = executor.map(call, [one.short, one.short, one.long, two.nothing, two.nothing])
        link = Link({bare_cluster.url!r}, name="tests")
        link.connect()
        time.sleep(1)
        show([link.call("LLEN", {KEYS.queue(ANY)!r}), list(outcomes), time.monotonic() - began > 3])
        """,
        files=dict.fromkeys(
            ("one.py", "two.py"),
            "import time\n\n"
            "def short():\n    time.sleep(0.03)\n\n"
            "def long():\n    time.sleep(3)\n\ndef nothing():\n    pass\n",
        ),
    )
    assert shown == [[2, 5 * [None], True]]


def test_a_worker_that_is_busy_takes_no_call_to_give_it_back(run: Run, link: Link) -> None:
    shown = run(
        """
        import time, one, two
        executor.submit(one.sleep, 0.03).result(30)
        executor.submit(two.sleep, 0.08).result(30)
        long = [executor.submit(two.sleep, 3) for _ in range(2)]  # one child must be another's first
        time.sleep(0.5)
        third = executor.submit(two.sleep, 0)
        show([third.result(30), third.info.where, third.info.attempts])
        """,
        files=dict.fromkeys(("one.py", "two.py"), "import time\n\ndef sleep(s):\n    time.sleep(s)\n"),
    )
    assert shown == [[None, "remote", 1]]
    recent = link.call("LRANGE", KEYS.named("recent", ANY), 0, -1)
    assert [b" requeued " in line for line in recent] == [False] * 5


def test_arguments_that_a_worker_cannot_load_say_so(run: Run) -> None:
    """As those of a function that goes by name: another worker may do better, and what is missing is named."""
    shown = run("""
        import lib.core as core
        from types import ModuleType
        unseen = ModuleType("unseen")
        exec("class Thing:\\n    value = 5", unseen.__dict__)
        sys.modules["unseen"] = unseen
        value = simpledist.worker_function(dist, "value", core.value)
        for _ in range(2):
            show(said(value.submit(unseen.Thing())))
    """)
    assert shown == [[5, "local", "undecodable"]] * 2
