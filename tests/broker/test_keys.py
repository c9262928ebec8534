"""Keys: names come from one table, in Python and in Lua alike, and each is known by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simpledist.broker import Keys, scripts
from simpledist.broker.keys import PERMANENT, TEMPLATES

ROOT = Path(__file__).parents[2]
PARTS = {"function": "fib@3", "worker": "w1", "client": "c1", "id": "c1-7"}


def name(keys: Keys, template: str) -> str:
    placeholder = re.search(r"\{(\w+)\}", TEMPLATES[template])
    return keys.named(template, PARTS.get(placeholder[1], "part") if placeholder else "")


@pytest.mark.parametrize("namespace", ["simpledist", "{simpledist}", "other-1"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_each_name_tells_its_template(namespace: str, template: str) -> None:
    keys = Keys(namespace)
    assert name(keys, template).startswith(namespace + ":")
    assert keys.template_of(name(keys, template)) == template


@pytest.mark.parametrize("foreign", ["other:workers", "simpledist:nonsense", "simpledist", "simpledist:queue:a:b", ""])
def test_foreign_names_are_none_of_ours(foreign: str) -> None:
    assert Keys().template_of(foreign) is None


def test_permanent_keys_are_of_the_cluster_and_of_functions_never_of_jobs() -> None:
    assert set(TEMPLATES) >= PERMANENT
    assert not {template for template in PERMANENT if re.search(r"\{(id|worker|client)\}", TEMPLATES[template])}


def test_every_script_has_a_function_for_each_template_that_it_uses() -> None:
    for verb in scripts.load().values():
        for template in TEMPLATES:
            assert f"key_{template}(" not in verb.text or f"local function key_{template}(" in verb.text


def test_no_file_but_keys_spells_out_a_key() -> None:
    heads = "|".join(sorted({template.partition("{")[0].rstrip(":") for template in TEMPLATES.values()}))
    spelled = re.compile(rf"""["'](?:simpledist)?:?(?:{heads}):""")
    for path in [*ROOT.glob("simpledist/**/*.py"), *ROOT.glob("simpledist/**/*.lua"), *ROOT.glob("web/**/*.py")]:
        if path.name != "keys.py":
            assert not spelled.search(path.read_text()), path
