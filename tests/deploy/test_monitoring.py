"""Rules and board name metrics, labels and reasons that a real scrape has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from simpledist.embedded import EmbeddedRedis
from simpledist.monitor.metrics import exposition
from simpledist.reasons import REASONS
from tests.deploy.files import DEPLOY
from tests.stage import Stage

RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "simpledist.json").read_text("utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
EXPRESSIONS = [rule["expr"] for rule in ALERTS] + [
    target["expr"] for panel in BOARD["panels"] for target in panel["targets"]
]
LABEL = re.compile(r"(simpledist_\w+)\{([^}]*)\}")


@pytest.fixture
def samples(redis_server: EmbeddedRedis) -> dict[str, set[str]]:
    """The names of a scrape's samples, and the labels of each."""
    stage = Stage(redis_server)
    stage.worker("w1", "fib")
    stage.run(3)
    stage.run(1, error="ValueError: no")
    stage.submit(2)
    stage.broker.ack("c1", [], {("fib", "no_worker"): 4})
    body, _ = exposition(stage.monitor().snapshot(), dropped={"unreadable": 1})
    stage.close()
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(simpledist_\w+)(?:\{(.*)\})? \S+$", body.decode(), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    for name in re.findall(r"^# TYPE (simpledist_\w+) ", body.decode(), re.MULTILINE):
        found.setdefault(name, set())
    return found


def test_each_metric_of_rules_and_board_is_in_a_real_scrape(samples: dict[str, set[str]]) -> None:
    named = {name for expression in EXPRESSIONS for name in re.findall(r"\bsimpledist_\w+", expression)}
    assert len(named) > 15
    assert named - samples.keys() == set()


def test_each_label_that_is_asked_for_is_one_of_the_metric(samples: dict[str, set[str]]) -> None:
    for expression in EXPRESSIONS:
        for name, labels in LABEL.findall(expression):
            if samples[name]:
                assert set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', labels)) <= samples[name], expression


def test_the_rules_tell_reasons_that_somebody_asked_for_from_the_others() -> None:
    lists = [found[1].split("|") for rule in ALERTS if (found := re.search(r'why=~"([^"]+)"', rule["expr"]))]
    alarming, without_workers = lists
    assert without_workers == ["no_worker", "redis_down"]
    assert {*alarming, *without_workers} == {why for why, reason in REASONS.items() if not reason.asked_for}


def test_the_board_leaves_out_the_reasons_that_somebody_asked_for() -> None:
    constant = next(one for one in BOARD["templating"]["list"] if one["name"] == "asked_for")
    assert constant["query"].split("|") == [why for why, reason in REASONS.items() if reason.asked_for]


def test_several_distributors_count_once() -> None:
    for expression in EXPRESSIONS:
        inner = re.findall(r"(\w+)(?: by \([^)]*\))? \(?(?:rate\(|increase\()?simpledist_", expression)
        if "elements_dropped" not in expression:  # the one number that each dashboard counts for itself
            assert "sum" not in inner, expression


def test_each_alert_has_a_test_of_promtool_and_says_what_a_caller_sees() -> None:
    tested = (DEPLOY / "prometheus" / "rules.test.yml").read_text("utf-8")
    for rule in ALERTS:
        assert f'alertname="{rule["alert"]}"' in tested
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_the_panels_of_the_board_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["description"].endswith((".", "md."))
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
