"""No two children draw the same random numbers from a global state; generators in modules are reported."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import randomness
from simpledist.cluster import Cluster
from simpledist.engine import throwaway
from tests.commands import run
from tests.trees import ROOT
from tests.values.functions import drawing
from tests.waiting import wait_until

MODULE = "tests.values.functions.drawing"


class Lazy:
    """A proxy whose target cannot be made here, as werkzeug's `current_app` outside of a request."""

    def _target(self) -> Any:
        raise RuntimeError("working outside of application context")

    __class__ = property(_target)  # type: ignore[assignment]
    __dict__ = property(_target)  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return self._target()


def _not_here(*_: Any) -> Any:
    raise AssertionError("it ran at its client")


@pytest.fixture(params=["", "1"], ids=["unseeded", "seeded on purpose"])
def empty(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Redis, and workers whose module seeds its states when it is imported, or not."""
    with Cluster(MODULE, workers=0, slots=2, folder=ROOT, environment={"SEEDED_ON_PURPOSE": request.param}) as one:
        yield one


@pytest.mark.parametrize("arguments", [(), ("--recycle", "1")], ids=["lasting", "replaced"])
def test_children_of_two_workers_draw_different_numbers(empty: Cluster, arguments: tuple[str, ...]) -> None:
    for _ in range(2):
        empty.start_worker(arguments=arguments)
    client = empty.connect()
    for name in ("of_numpy", "of_numpy_normal", "of_random"):
        futures = [simpledist.worker_function(client, name, _not_here).submit(n) for n in range(24)]
        assert len({future.result(30) for future in futures}) == 24, name


def test_spawned_children_draw_different_numbers(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import random, threading, time\nimport numpy.random\n"
        "random.seed(1)\nnumpy.random.seed(1)\n"
        "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
        "def draw(_): return random.random(), float(numpy.random.rand())\n"
    )
    with Cluster("threaded", workers=1, slots=2, folder=tmp_path) as cluster:
        draw = simpledist.worker_function(cluster.connect(), "draw", _not_here)
        drawn = [future.result(30) for future in [draw.submit(n) for n in range(20)]]
    assert len({one for one, _ in drawn}) == len({one for _, one in drawn}) == 20


def test_throw_away_children_draw_different_numbers() -> None:
    for function in (drawing.of_numpy, drawing.of_random):
        assert len({throwaway.run("f", function, (n,), {}, why="crashed") for n in range(3)}) == 3


def test_a_state_that_was_seeded_descends_from_its_seed_and_no_number_is_left_over() -> None:
    program = (
        "import numpy as np, sys\nfrom simpledist import randomness\n"
        "np.random.seed(3)\nnp.random.normal()\n"  # a second number waits in the state
        "left = np.random.get_state()[4]\n"
        "randomness.begin_anew()\n"
        "assert np.random.get_state()[3] == 0\n"
        "assert np.random.normal() != left\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_torch_is_given_another_seed_where_it_is_loaded(tmp_path: Path) -> None:
    """Torch itself is too big a thing to install for this: the module of this name only notes its seeds."""
    (tmp_path / "torch.py").write_text("seeds = []\ndef manual_seed(seed): seeds.append(seed)\n")
    program = (
        "import torch\nfrom simpledist import randomness\n"
        "randomness.begin_anew()\nrandomness.begin_anew()\n"
        "assert len(set(torch.seeds)) == 2 and all(0 <= seed < 2**63 for seed in torch.seeds)\n"
    )
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=path)


def test_nothing_is_loaded_for_it() -> None:
    program = (
        "import sys\nfrom simpledist import randomness\n"
        "randomness.begin_anew()\nrandomness.generators_in_modules()\n"
        "assert not {'numpy', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_generators_that_live_in_modules_are_found() -> None:
    # In a process of its own: what the other tests have loaded would be named first.
    program = f"import json, {MODULE}\nfrom simpledist import randomness\n"
    program += "print(json.dumps(randomness.generators_in_modules()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60, cwd=ROOT)
    found: list[str] = json.loads(done.stdout)
    for place in ("own", "dice", "Table.legacy", "with_default (a default)"):
        assert f"{MODULE}.{place}" in found
    assert f"{MODULE}.fine" not in found
    assert len(found) <= 9


def test_a_lazy_proxy_in_a_module_is_not_asked() -> None:
    module = types.ModuleType("of_a_user_with_a_proxy")
    module.__dict__["lazy"] = Lazy()
    sys.modules[module.__name__] = module
    try:
        randomness.generators_in_modules()
    finally:
        del sys.modules[module.__name__]


def test_worker_doctor_and_page_name_them_once() -> None:
    with Cluster(MODULE, workers=0, slots=2, folder=ROOT) as cluster:
        worker = cluster.start_worker(arguments=("--recycle", "1"))
        client = cluster.connect()
        draw = simpledist.worker_function(client, "of_random", _not_here)
        for n in range(6):
            draw(n)
        wait_until(lambda: "docs/random.md" in worker.stderr_text(), 5, "the warning")
        assert worker.stderr_text().count("docs/random.md") == 1
        assert f"{MODULE}.dice" in worker.stderr_text()
        done = run("doctor", "--redis", cluster.url)
        assert f"{MODULE}.own" in done.stdout
        assert "docs/random.md" in done.stdout
