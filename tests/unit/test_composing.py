"""A script holds what its verb uses, in order, and knows where each line comes from."""

from __future__ import annotations

import pytest

from simpledist.broker.composing import Library, keys_written_out

NOUNS = """\
-- Comments stay at home.
local held = {}

local function first(id) return second(id) end

local function second(id)
  return call('GET', key_job(id), MOST)
end

local function unused() return 1 end

local function seldom(id) -- rare
  held[id] = only_here(id)
end

local function only_here(id) return 'unused ' .. id end
"""
CALL = ["local call = redis.call"]


def script(verb: str, nouns: str = NOUNS, constants: dict[str, str] | None = None) -> list[str]:
    library = Library({"_noun.lua": nouns}, constants or {"MOST": "7"}, CALL)
    return [line.text for line in library.script({"verb.lua": verb})]


def test_a_script_holds_what_its_verb_uses_each_before_its_users() -> None:
    assert script("return first(1)") == [
        "local call = redis.call",
        "local function second(id)",
        "  return call('GET', (ns .. 'job:' .. (id)), 7)",
        "end",
        "local function first(id) return second(id) end",
        "return first(1)",
    ]


def test_what_only_a_rare_function_uses_is_made_in_it_but_state_is_made_at_the_top() -> None:
    assert script("return seldom(1)") == [
        "local held = {}",
        "local function seldom(id)",
        "local function only_here(id) return 'unused ' .. id end",
        "  held[id] = only_here(id)",
        "end",
        "return seldom(1)",
    ]


def test_what_only_the_second_part_of_a_verb_uses_is_made_after_the_first() -> None:
    lines = script("if x then return second(1) end\n---\nreturn first(1)")
    assert lines.index("if x then return second(1) end") < lines.index("local function first(id) return second(id) end")
    assert lines.count("local function second(id)") == 1


def test_each_line_knows_its_file_and_its_number() -> None:
    lines = Library({"_noun.lua": NOUNS}, {}, CALL).script({"verb.lua": "\n\nreturn second(1)"})
    assert [(line.file, line.number) for line in lines[1:]] == [
        ("_noun.lua", 6),
        ("_noun.lua", 7),
        ("_noun.lua", 8),
        ("verb.lua", 3),
    ]


def test_texts_are_left_alone() -> None:
    assert script("return 'first MOST'", constants={"MOST": "7"}) == ["return 'first MOST'"]


def test_keys_are_written_out_in_one_another_too() -> None:
    assert keys_written_out("key_job(id) .. key_queue(of(key_epoch()))") == (
        "(ns .. 'job:' .. (id)) .. (ns .. 'queue:' .. (of((ns .. 'epoch'))))"
    )


@pytest.mark.parametrize(
    ("nouns", "trouble"),
    [
        ("local function a() return b() end\nlocal function b() return a() end", "these use each other: a -> b -> a"),
        ("local a = 1\nlocal a = 2", "a is defined twice: _noun.lua:1 and _noun.lua:2"),
    ],
)
def test_a_broken_rule_is_reported(nouns: str, trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        script("return a()", nouns)
