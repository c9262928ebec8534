"""What is wrong with a worker, as pages and commands say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simpledist import policy
from simpledist.code.distributions import versions_on
from simpledist.monitor import RedisState
from simpledist.monitor.rows import Workers, assembled
from simpledist.monitor.workers import Refusal, WorkerState


def with_other_keys(*rings: str) -> list[str]:
    """Return which of the workers with these keys (ids between commas) are said to have another key than most."""
    rows = [
        (f"w{n}", json.dumps({"keys": ring.split(","), "protocol": policy.PROTOCOL, "functions": ["fib"]}))
        for n, ring in enumerate(rings)
    ]
    beats = {id: "1000" for id, _ in rows}
    found = assembled(RedisState(ok=True), 1.5, {}, Workers(rows, beats, {}))
    return [one.id for one in found.workers if one.other_key]


@pytest.mark.parametrize(
    ("rings", "others"),
    [
        ([], []),
        (["a"], []),
        (["a", "a", "a"], []),
        (["a", "a", "b"], ["w2"]),
        (["a", "b"], ["w0", "w1"]),
        (["new,old", "old", "old"], []),
        (["new,old", "new", "old"], []),
        (["new,old", "new,old", "other"], ["w2"]),
    ],
    ids=str,
)
def test_a_worker_with_another_key_than_most_is_found_and_a_change_of_keys_is_not(
    rings: list[str], others: list[str]
) -> None:
    assert with_other_keys(*rings) == others


def worker(**facts: object) -> WorkerState:
    usual: dict[str, object] = {"health": "alive", "draining": False, "functions": ("fib",)}
    return WorkerState("w", "w", "h", 1, 4, 0, 0.5, python="3.11.7", started_seconds=1.0, **{**usual, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "condition", "bad"),
    [
        ({}, "alive", False),
        ({"health": "late"}, "late", False),
        ({"health": "dead", "mismatched": ("fib",)}, "dead", True),
        ({"draining": True, "mismatched": ("fib",)}, "draining", False),
        ({"mismatched": ("fib",)}, "other code", True),
        ({"speaks_ours": False, "protocol": 1}, "other version", True),
        ({"refusals": (Refusal("fib", "worker_error", "No module named 'pandas'", 3),)}, "missing module", True),
        ({"refusals": (Refusal("fib", "undecodable", "bad pickle", 1),)}, "refuses jobs", False),
        ({"withdrawn": ("pi",)}, "withdrawn", True),
        ({"trouble": "no child can start", "trouble_kind": "children", "functions": ()}, "no child", True),
        ({"trouble": "NOPERM", "trouble_kind": "commands", "functions": ()}, "stuck", True),
        ({"trouble": "NOPERM", "trouble_kind": "commands"}, "alive", False),
    ],
    ids=str,
)
def test_its_condition_is_the_word_of_its_worst_problem(facts: dict[str, object], condition: str, bad: bool) -> None:
    one = worker(**facts)
    assert (one.condition, one.bad) == (condition, bad)
    assert all(problem.text and problem.remedy for problem in one.problems)


def test_distributions_are_found_by_the_names_of_their_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, name in (
        (first, "scikit_learn-1.5.2.dist-info"),
        (first, "Old.Style-2.0-py3.11.egg-info"),
        (first, "not-installed"),
        (first, "ruff-.dist-info"),
        (second, "scikit_learn-1.4.0.dist-info"),
        (second, "numpy-2.1.0rc1.dist-info"),
    ):
        (folder / name).mkdir(parents=True)
    found = versions_on([str(first), str(tmp_path / "nowhere"), str(second)])
    assert found == {"numpy": "2.1.0rc1", "old.style": "2.0", "scikit-learn": "1.5.2"}
    for n in range(400):
        (second / f"d{n}-1.dist-info").mkdir()
    assert len(versions_on([str(second)])) == 300
