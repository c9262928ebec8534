"""The names in encoded arguments: those short texts of a pickle that may name a module, a class or a function.

Owns how they are found: by their form in the bytes, not by `pickletools`, which takes a microsecond for each opcode. So
a text of the user that is spelled like a name is found too. What a shared object names is found once, and kept.
Called by argument_code.py, which compares the code behind the names, and travelling_modules.py, which sends it along.
"""

from __future__ import annotations

import re
import sys

from simpledist.buffers import NAMES_BYTES, Blob, Data, blobs_of, parts_of

# The opcode of a short text, its length, a text without blanks in UTF-8, and the opcode behind each text. Random bytes
# hardly ever look so, and bytes that are all the same (an image) take no longer: the run of a text ends where it is
# no UTF-8.
_TEXT = re.compile("\x8c(?=.(?:[!-~]|[\xc2-\xf4][\x80-\xbf]{1,3}){1,255}\x94)", re.DOTALL)
_MOST_KEPT = 1000

_of_blobs: dict[str, frozenset[str]] = {}  # by their names; any thread may add some: what one of them finds, all find


def names_in(body: Data | memoryview) -> set[str]:
    """Return the texts in encoded arguments that may be names, and some that are none."""
    return _texts_in(body).union(*map(_names_in_blob, blobs_of(body)))


def _names_in_blob(blob: Blob) -> frozenset[str]:
    """Return what a shared object names. Its modules are there since it was encoded first."""
    found = _of_blobs.get(blob.name)
    if found is None:
        if len(_of_blobs) >= _MOST_KEPT:
            _of_blobs.clear()
        found = _of_blobs[blob.name] = _bound(_texts_in(blob.encode(keep=True)))
    return found


def _bound(texts: set[str]) -> frozenset[str]:
    """Return the modules among some texts, and what these bind: each call goes through them, and a text may be any."""
    modules = texts & sys.modules.keys()
    bound = modules.union(*(texts & vars(sys.modules[module]).keys() for module in modules))
    return frozenset(bound.union(text for text in texts if "." in text and text.partition(".")[0] in bound))


def _texts_in(body: Data | memoryview) -> set[str]:
    found: set[str] = set()
    for part in parts_of(body):
        if len(part) > NAMES_BYTES:
            continue
        text = str(part, "latin-1")
        begins = [match.end() + 1 for match in _TEXT.finditer(text)]
        found.update([text[begin : begin + ord(text[begin - 1])] for begin in begins])
    return {text for each in found if (text := each if each.isascii() else _decoded(each))}


def _decoded(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8", "surrogatepass")  # as pickle encodes them
    except UnicodeDecodeError:  # it is none
        return ""
