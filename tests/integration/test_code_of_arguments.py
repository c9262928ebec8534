"""Arguments bring code: an instance of a class that is other code on a worker gives its caller's own value."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simpledist.broker import Keys
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests import commands
from tests.integration.test_whose_code import HERE, REMOTE, WORKER, modules
from tests.links import open_link
from tests.waiting import wait_until

FNS = "def area(*shapes):\n    return sum(shape.area() for shape in shapes)\n"
SHAPES = """
FACTOR = 3
class Circle:
    def __init__(self, r):
        self.r = r
    def area(self):
        return self.r * FACTOR
"""
EDITED = SHAPES.replace("3", "4")
CALLER = """
import logging
import simpledist, fns, shapes
logging.basicConfig(format="%(levelname)s %(message)s")
with simpledist.connect() as client:
    f = simpledist.worker_function(client, "area", fns.area{options})
    made = {made}
    print(f(made(4)), list(f.map(map(made, range(3)))), f.submit(made(5)).result())
    done = [f.submit(made(n)) for n in range(20)]
    [one.result() for one in done]
    print({{(one.info.where, one.info.why) for one in done if one.info}})
"""
OURS, THEIRS = "16 [0, 4, 8] 20", "12 [0, 3, 6] 15"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return modules(tmp_path / "old", fns=FNS, shapes=SHAPES)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return modules(tmp_path / "new", fns=FNS, shapes=EDITED)


def call(cluster: Cluster, folder: Path, options: str = "", made: str = "shapes.Circle") -> list[str]:
    """Run a caller in a folder; return its lines, those of its log last."""
    (folder / "caller.py").write_text(CALLER.format(options=options, made=made))
    done = commands.python("caller.py", cwd=folder, url=cluster.url)
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def none_passes_over(function: str, url: str) -> bool:
    """Return whether all workers take its calls: one that has refused some passes over them for a second."""
    with open_link(url) as link:
        seconds, _ = link.call("TIME")
        offers = link.call("HVALS", Keys().named("offers", function))
    return all(json.loads(offer)["passes_until"] <= int(seconds) * 1000 for offer in offers)


def test_a_class_that_differs_on_the_worker_gives_the_callers_value_and_one_line_names_the_difference(
    old: Path, new: Path
) -> None:
    with Cluster("fns", folder=old, slots=1) as cluster:
        values, where, *log = call(cluster, new)
        assert (values, where) == (OURS, HERE)
        (line,) = log
        assert re.fullmatch(
            "WARNING function area: an argument brings shapes:Circle, whose shapes:FACTOR is other code there, on "
            rf"{WORKER}, which passes such calls on: they run here until a worker has this program's code; .*",
            line,
        )
        assert call(cluster, old) == [THEIRS, REMOTE], "no line"


def test_a_worker_with_the_callers_class_gets_the_calls_that_another_one_refuses(
    old: Path, new: Path, redis_server: EmbeddedRedis
) -> None:
    with (
        Cluster("fns", folder=old, slots=1, redis=redis_server),
        Cluster("fns", folder=new, slots=1, redis=redis_server) as cluster,
    ):
        assert call(cluster, new) == [OURS, REMOTE]
        wait_until(lambda: none_passes_over("area", cluster.url), 5, "the worker that refused takes its calls again")
        assert call(cluster, old) == [THEIRS, REMOTE]


@pytest.mark.parametrize(
    "made", ["lambda n: [{'a': (shapes.Circle(n),)}][0]['a'][0]", "lambda n: client.share(shapes.Circle(n))"]
)
def test_it_is_found_wherever_it_stands_in_an_argument(old: Path, new: Path, made: str) -> None:
    with Cluster("fns", folder=old, slots=1) as cluster:
        assert call(cluster, new, made=made)[:2] == [OURS, HERE]


MIXED = """
import sys, time
import simpledist, fns, shapes
with simpledist.connect() as client:
    f = simpledist.worker_function(client, "area", fns.area)
    [one.result() for one in [f.submit() for _ in range(100)]]  # such calls are short: they travel together
    until, named, plain = time.monotonic() + float(sys.argv[1]), set(), set()
    while time.monotonic() < until:
        done = [f.submit(*(shapes.Circle(n),) * (n % 5 == 4)) for n in range(40)]
        assert [one.result() for one in done] == [4 * n * (n % 5 == 4) for n in range(40)]
        named |= {one.info.where for one in done[4::5]}
        plain |= {one.info.where for n, one in enumerate(done) if n % 5 != 4}
        assert list(f.map(map(shapes.Circle, range(400)))) == [4 * n for n in range(400)]
    print(named, "remote" in plain, "local" in plain)
"""


def mixed(cluster: Cluster, folder: Path, seconds: float) -> str:
    (folder / "mixed.py").write_text(MIXED)
    done = commands.python("mixed.py", str(seconds), cwd=folder, url=cluster.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_batches_in_which_some_calls_bring_other_code_give_each_its_own_value(old: Path, new: Path) -> None:
    with Cluster("fns", folder=old, slots=1) as cluster:
        # A batch that begins with a refused call is refused whole.
        assert mixed(cluster, new, 1).startswith("{'local'} True ")


def test_what_a_worker_refuses_of_a_batch_goes_to_another_one(
    old: Path, new: Path, redis_server: EmbeddedRedis
) -> None:
    """Longer than a worker passes over what it refused: so the batches come to both."""
    with (
        Cluster("fns", folder=old, slots=1, redis=redis_server),
        Cluster("fns", folder=new, slots=1, redis=redis_server) as cluster,
    ):
        assert mixed(cluster, new, 3) == "{'remote'} True False\n"


def test_by_name_nothing_is_compared(old: Path, new: Path) -> None:
    with Cluster("fns", folder=old, slots=1) as cluster:
        assert call(cluster, new, ', match="name"') == [THEIRS, REMOTE]


def test_a_kept_value_is_not_that_of_another_class(tmp_path: Path) -> None:
    """Both classes have the same canonical form, and a worker for each keeps its values under the same function."""
    form = SHAPES.replace("class", "from dataclasses import dataclass\n@dataclass\nclass")
    form = form.replace("def __init__(self, r):\n        self.r = r", "r: int")
    old = modules(tmp_path / "old", fns=FNS, shapes=form)
    new = modules(tmp_path / "new", fns=FNS, shapes=form.replace("3", "4"))
    with Cluster("fns", folder=old, slots=1) as cluster:
        assert call(cluster, old, ", cache=60") == [THEIRS, REMOTE]
        assert call(cluster, new, ", cache=60")[:2] == [OURS, HERE]


def test_what_travels_with_its_modules_brings_those_of_its_arguments(old: Path, new: Path, tmp_path: Path) -> None:
    """A worker that runs any function has the old class in its own folder, and this call runs with the new one."""
    program = """
import simpledist, fns, shapes
with simpledist.connect() as client:
    one = simpledist.worker_function(client, "area", fns.area).submit(shapes.Circle(4))
    print(one.result(), one.info.where)
"""
    (new / "caller.py").write_text(program)
    with Cluster(folder=old, slots=1, workers=0) as cluster:
        cluster.start_worker(arguments=["--any"], environment={"XDG_CACHE_HOME": str(tmp_path / "cache")})
        done = commands.python("caller.py", cwd=new, url=cluster.url)
        assert done.stdout == "16 remote\n", done.stderr


def test_an_executors_calls_bring_the_classes_of_their_arguments(old: Path, new: Path, tmp_path: Path) -> None:
    program = """
import simpledist, fns, shapes
with simpledist.connect() as client, client.executor() as executor:
    one = executor.submit(fns.area, shapes.Circle(4))
    print(one.result(), list(executor.map(fns.area, map(shapes.Circle, range(3)))), one.info.where)
"""
    (new / "caller.py").write_text(program)
    with Cluster(folder=old, slots=1, workers=0) as cluster:
        cluster.start_worker(arguments=["--any"], environment={"XDG_CACHE_HOME": str(tmp_path / "cache")})
        done = commands.python("caller.py", cwd=new, url=cluster.url)
        assert done.stdout == "16 [0, 4, 8] remote\n", done.stderr
