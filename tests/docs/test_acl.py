"""The users of docs/acl.md, held against keys and scripts; tests/integration/test_acl.py runs a cluster under them."""

from __future__ import annotations

import re
from pathlib import Path

from simpledist.broker.keys import SEALED, TEMPLATES

ROOT = Path(__file__).parents[2]
RIGHTS = {
    name: words.split()
    for name, words in re.findall(r"^user (\w+) on >\S+ (.*)$", (ROOT / "docs" / "acl.md").read_text(), re.MULTILINE)
}


def test_the_dashboards_user_has_every_key_of_text_and_none_with_bytes() -> None:
    expected = {"~simpledist:" + re.sub(r"\{\w+\}", "*", TEMPLATES[name]) for name in TEMPLATES if name not in SEALED}
    assert {word for word in RIGHTS["dashboard"] if word.startswith("~")} == expected


def test_each_role_has_every_command_of_the_scripts() -> None:
    scripts = "".join(path.read_text() for path in (ROOT / "simpledist/broker/lua").glob("*.lua"))
    commands = {f"+{command.lower()}" for command in re.findall(r"call\('([A-Z]+)'", scripts)}
    assert len(commands) > 20
    for role in ("client", "worker", "distributor"):
        assert commands <= set(RIGHTS[role]), role
