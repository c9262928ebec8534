"""Arguments of a call stay as they were given: which of them can change later, and what is used in their place.

A call that travels is run from the bytes that were sent. So is one that runs here after all, if an argument of it can
change: else its value would depend on the state of the cluster. What cannot change is used as it is. Arguments that
cannot be encoded have no snapshot: such a call runs here, with the originals. Pure, but for the decoding.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from simpledist import shipped, wire
from simpledist.buffers import Data, Pieces
from simpledist.errors import Undecodable, Unserialisable

Arguments = tuple[Any, ...]

_UNCHANGING = frozenset((int, float, complex, bool, type(None), str, bytes, range, type(Ellipsis)))
_CODE = (type, types.BuiltinFunctionType, types.ModuleType)
_DEPTH = 20
_ITEMS = 1000  # of a longer one it is quicker to say that it may change


def unchanging(args: Iterable[Any], kwargs: Mapping[str, Any] | None = None) -> bool:
    """Return whether none of these can change: numbers, texts, bytes, read-only buffers, and tuples of such."""
    return (_UNCHANGING.issuperset(map(type, args)) or all(_unchanging(one, _DEPTH) for one in args)) and (
        not kwargs or all(_unchanging(one, _DEPTH) for one in kwargs.values())
    )


def _unchanging(value: Any, depth: int) -> bool:
    kind = cast("type[object]", type(value))
    if kind in _UNCHANGING:
        return True
    if kind is tuple or kind is frozenset:
        return depth > 0 and len(value) <= _ITEMS and all(_unchanging(one, depth - 1) for one in value)
    if kind is types.FunctionType:
        return value.__closure__ is None
    if kind is memoryview:
        return value.readonly and _unchanging(value.obj, depth)
    # Not loaded for it: who has no numpy has no arrays.
    if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
        return not (value.flags.writeable or value.dtype.hasobject) and (
            value.base is None or (depth > 0 and _unchanging(value.base, depth - 1))
        )
    return isinstance(value, _CODE)


def encoded(codec: str, args: Arguments, kwargs: dict[str, Any], shared: wire.Shared | None = None) -> tuple[str, Data]:
    """Return the bytes of arguments that can change, and their codec; b"" where they cannot be encoded."""
    for its in dict.fromkeys((codec, "pickle")):
        try:
            return its, wire.encode_arguments(its, args, kwargs, shared=shared)
        except Unserialisable:
            continue
    return codec, b""


def given(
    codec: str, body: Data, local: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> tuple[Arguments, dict[str, Any]]:
    """With what one call is run here: the arguments as they were when it was made."""
    if not len(body):
        return args, kwargs
    travels = local is shipped.run and len(args) >= 3 and isinstance(args[0], (types.FunctionType, *_CODE))
    if unchanging(args[1], args[2]) if travels else unchanging(args, kwargs):
        return args, kwargs
    try:
        # Reading uses up pieces, and a signal handler may want them too.
        then, named = wire.decode_arguments(codec, Pieces(body.parts, body.blobs) if isinstance(body, Pieces) else body)
    except Undecodable:
        return args, kwargs
    # A function is no argument: it is the caller's own that runs here, with all that it closes over.
    return ((args[0], *then[1:]) if travels else then), named


def given_calls(codec: str, body: Data, calls: Iterable[Arguments]) -> list[Arguments]:
    """Do the same for the calls of a batch with this body."""
    calls = list(calls)
    if not len(body) or all(unchanging(args) for args in calls):
        return calls
    try:
        bodies = wire.split_calls(codec, body)
    except Undecodable:
        return calls
    return [
        args if isinstance(its, tuple) else given(codec, _data(its), _nobody, args, {})[0]
        for args, its in zip(calls, bodies, strict=True)
    ]


def copied(args: Arguments, shared: wire.Shared | None = None) -> Arguments:
    """Return arguments that stay as they are now; what is `shared` among them does in any case."""
    if unchanging(args):
        return args
    codec, body = encoded("pickle", args, {}, shared)
    return given(codec, body, _nobody, args, {})[0]


@dataclass(frozen=True, slots=True)
class Sent:
    """The arguments of a suspect call as they were sent. To unpickle this is to load them."""

    codec: str
    body: bytes

    def load(self) -> tuple[Arguments, dict[str, Any]]:
        """Return the arguments. Only where loading them is known to do no harm."""
        return wire.decode_arguments(self.codec, self.body)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, bytes]]:
        return wire.decode_arguments, (self.codec, self.body)


def _data(body: memoryview | Pieces) -> Data:
    return body if isinstance(body, Pieces) else bytes(body)


def _nobody() -> None:
    """Do nothing: no function that travels with its call."""
