"""Exceptions as pickles: what travels, comes back as it was raised, and what is refused because it would not."""

from __future__ import annotations

import builtins
import math
import subprocess
import sys
import threading
from typing import Any

import pytest

from simpledist import wire
from simpledist.errors import RemoteTraceback, Undecodable, Unserialisable
from simpledist.wire.raised import place_and_trace
from tests.ids import steady
from tests.sealing import (
    CODECS,
    thrown,
    travelled,
)
from tests.unit.odd_exceptions import (
    Careful,
    Chained,
    Disguised,
    EvilArgs,
    NoException,
    Opaque,
    Placed,
    Plain,
    Rewriter,
    Trap,
    Unspeakable,
    with_attribute,
)


def ordinary() -> list[BaseException]:
    return [
        Plain(),
        Plain("text"),
        Plain(math.nan, -0.0, 1j),
        Plain([1, {"a": (2.5, None)}], {3, 4}, b"x"),
        Plain(Opaque(), object()),
        Plain([Opaque()], {"k": Opaque()}),
        KeyError("missing"),
        StopIteration(5),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        OSError(2, "No such file", "name"),
        FileNotFoundError(2, "No such file", "a", None, "b"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        SyntaxError("bad", ("f.py", 1, 2, "text")),
        RecursionError("deep"),
        Careful(5, "why"),
        Plain(ValueError("inner", [1])),
        Plain("\ud800"),
        Plain("x" * 1_000_000),
        Unspeakable("x"),
        Plain(Plain),
    ]


@pytest.mark.parametrize("error", ordinary(), ids=lambda error: type(error).__name__)
def test_ordinary_exceptions_travel(error: BaseException) -> None:
    back = travelled(thrown(error))
    assert type(back) is type(error)
    assert len(back.args) == len(error.args)
    assert [type(arg) for arg in back.args] == [type(arg) for arg in error.args]
    assert isinstance(back.__cause__, RemoteTraceback)


def test_attributes_travel_with_their_exception() -> None:
    error: Any = Plain("x")
    error.code = 7
    assert travelled(error).code == 7  # type: ignore[attr-defined]
    back = travelled(Careful(5, "why"))
    assert (back.code, back.reason) == (5, "why")  # type: ignore[attr-defined]
    assert travelled(OSError(2, "No such file", "name")).filename == "name"  # type: ignore[attr-defined]


def test_slots_and_fields_of_c_travel_with_their_exception() -> None:
    assert travelled(thrown(Placed("x", "here"))).where == "here"  # type: ignore[attr-defined]
    assert travelled(thrown(NameError("x", name="missing"))).name == "missing"  # type: ignore[attr-defined]
    back = travelled(thrown(AttributeError("x", name="missing", obj=5)))
    assert (back.name, back.obj) == ("missing", 5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        Trap(5, "why"),
        Rewriter("file"),
        Disguised("x"),
        NoException("x"),
        EvilArgs("x"),
        with_attribute(threading.Lock()),
        Plain(threading.Lock()),
        Plain(x for x in ()),
        Plain(Trap(5, "why")),
        Plain([Rewriter("file")]),
    ],
    ids=steady,
)
def test_an_exception_that_would_come_back_as_another_does_not_travel(error: BaseException) -> None:
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", thrown(error))


_group: Any = getattr(builtins, "ExceptionGroup", None)


@pytest.mark.skipif(_group is None, reason="groups came with Python 3.11")
def test_groups_travel_and_their_members_are_looked_at_too() -> None:
    group: Any = thrown(_group("many", [ValueError(1), _group("inner", [Plain(2)])]))
    back: Any = travelled(group)
    assert type(back) is type(group)
    assert (back.message, [type(one) for one in back.exceptions]) == ("many", [ValueError, type(group)])
    assert back.exceptions[1].exceptions[0].args == (2,)
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", _group("many", [Trap(5, "why")]))
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", _group("many", [Rewriter("file")]))


def test_a_chain_of_five_hundred_causes_travels_whole_with_the_text_below() -> None:
    error: BaseException = ValueError("the first")
    for number in range(500):
        try:
            raise Chained(number) from error
        except Chained as caught:
            error = caught
    back: BaseException | None = travelled(error)
    for number in reversed(range(500)):
        assert isinstance(back, Chained)
        assert back.args == (number,)
        back = back.__cause__
    assert isinstance(back, ValueError)
    assert isinstance(back.__cause__, RemoteTraceback)
    assert "the first" in back.__cause__.text
    assert "499" in back.__cause__.text
    assert back.__cause__.__cause__ is None


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_an_exception_does_not_travel_without_what_led_to_it(link: str) -> None:
    error = Plain("outer")
    setattr(error, link, Trap(5, "inner"))
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", thrown(error))


def test_an_exception_that_holds_itself_or_nests_without_end_does_not_hang() -> None:
    cyclic = Plain("x")
    cyclic.args = ([cyclic, cyclic], [cyclic, cyclic])
    assert len(travelled(cyclic).args) == 2
    deep: Any = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", Plain(deep))


def test_a_function_that_recurses_without_end_gives_its_recursion_error() -> None:
    def endless(n: int) -> int:
        return endless(n + 1)

    with pytest.raises(RecursionError) as raised:
        endless(0)
    back = travelled(raised.value)
    assert type(back) is RecursionError
    assert "in endless" in str(back.__cause__)


@CODECS
def test_notes_travel(codec: str) -> None:
    error: Any = ValueError("x")
    error.__notes__ = ["first", "second\nline"]
    back: Any = travelled(error, codec)
    assert back.__notes__ == ["first", "second\nline"]


@pytest.mark.parametrize("notes", [5, "text", [1, 2], None, [Opaque()]], ids=steady)
def test_strange_notes_harm_no_one(notes: Any) -> None:
    error: Any = ValueError("x")
    error.__notes__ = notes
    assert travelled(error).args == ("x",)


def test_frames_of_ours_are_not_in_the_text() -> None:
    text = str(travelled(thrown(ValueError("x"))).__cause__)
    assert "in thrown" in text
    body, _ = wire.encode_error("pickle", thrown(ValueError("x")), 1)
    raised = wire.decode_outcome(wire.OpenOutcome("error", "pickle", body))
    assert isinstance(raised, wire.Raised)
    assert "in thrown" not in str(raised.exception.__cause__)
    assert "ValueError: x" in str(raised.exception.__cause__)
    wire.encode_error("pickle", ValueError("never raised"), 5)
    assert place_and_trace(thrown(ValueError("x"))).splitlines()[0].endswith(" in thrown")
    assert place_and_trace(thrown(ValueError("x")), 1).splitlines()[:2] == ["", "ValueError: x"], (
        "the call itself failed"
    )


@CODECS
def test_long_tracebacks_are_cut_in_their_middle(codec: str) -> None:
    body, line = wire.encode_error(codec, thrown(ValueError("x" * 200_000 + "end")))
    raised = wire.decode_outcome(wire.OpenOutcome("error", codec, body))
    assert isinstance(raised, wire.Raised)
    text = str(raised.exception.__cause__).strip()
    assert 60_000 < len(text) <= 64 * 1024
    assert text.startswith("Traceback")
    assert text.endswith("end")
    assert len(line) <= 300


@pytest.mark.parametrize("text", ["two\nlines", "\ud800 half", "\x1b[31m red \x00", "x" * 10_000, ""])
def test_the_line_for_people_is_one_short_line_that_can_be_sent(text: str) -> None:
    _, line = wire.encode_error("pickle", Plain(text))
    line.encode()
    assert line.isprintable()
    assert len(line) <= 300
    assert line.startswith("Plain:")


def test_a_traceback_that_mentions_main_needs_no_cloudpickle() -> None:
    program = (
        "import sys\nfrom simpledist import wire\n"
        "try: exec(compile('1/0', '__main__', 'exec'))\n"
        "except ZeroDivisionError as error: body, _ = wire.encode_error('pickle', error)\n"
        "assert b'__main__' in body\n"
        "assert 'cloudpickle' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


FOREIGN = """
import sys, types
from simpledist import wire
module = types.ModuleType("only_on_the_worker")
sys.modules[module.__name__] = module
exec("class Special(Exception): pass", module.__dict__)
sys.stdout.buffer.write(wire.encode_error("pickle", module.Special("x"))[0])
"""


def test_an_exception_of_a_module_that_only_the_worker_has_is_undecodable() -> None:
    body = subprocess.check_output([sys.executable, "-c", FOREIGN], timeout=30)
    with pytest.raises(Undecodable, match="only_on_the_worker"):
        wire.decode_outcome(wire.OpenOutcome("error", "pickle", body))


RAISER = """
import sys
from simpledist import wire
function = wire.decode_arguments("pickle", sys.stdin.buffer.read())[0][0]
try: function()
except Exception as error: sys.stdout.buffer.write(wire.encode_error("pickle", error)[0])
"""

CATCHER = """
import subprocess, sys
from simpledist import wire

class Mine(Exception):
    def __init__(self, code): super().__init__(code); self.code = code

def function(): raise Mine(5)

body = wire.encode_arguments("pickle", (function,))
worker = subprocess.run([sys.executable, "-c", sys.argv[1]], input=bytes(body), stdout=subprocess.PIPE, check=True)
try: raise wire.decode_outcome(wire.OpenOutcome("error", "pickle", worker.stdout)).exception
except Mine as error: assert error.code == 5 and "in function" in str(error.__cause__)
"""


def test_an_exception_class_of_main_can_be_caught_where_it_comes_from() -> None:
    subprocess.run([sys.executable, "-c", CATCHER, RAISER], check=True, timeout=60)
