"""Objects that travel with their code: cloudpickle, held to what a plain pickle promises.

Owns what cloudpickle does otherwise than the promise asks for, and the question "does this pickle hold code?", which
binds it to one Python minor. The only file that imports cloudpickle. `serializers` loads it when a plain pickle does
not do: most programs and most children never need it.
"""

# cloudpickle has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportPrivateUsage=false

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from cloudpickle import cloudpickle

# The program's own script in a child that multiprocessing has spawned: no other program has a module of this name.
_SPAWNED_MAIN = "__mp_main__"


class Pickler(cloudpickle.Pickler):
    """Pickle functions and classes by value where cloudpickle does; `holds_code` says afterwards whether it did."""

    holds_code = False

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle `obj`, or NotImplemented for the ordinary way. Raises PicklingError."""
        kind: type[Any] = type(obj)
        if kind is types.CodeType:
            self.holds_code = True
        elif kind is memoryview:
            return _reduce_view(obj)
        elif kind is io.TextIOWrapper and obj is not sys.stdout and obj is not sys.stderr:
            raise pickle.PicklingError("an open file would come back as its text")
        reduced: Any = self._reduced(obj, kind)
        if isinstance(reduced, tuple) and _makes_a_class(reduced[0]):
            self.holds_code = True
            if reduced[0].__name__ == "_make_skeleton_class":
                # cloudpickle knows a class by its short name only.
                reduced[2][0].setdefault("__qualname__", obj.__qualname__)
        return reduced

    def _reduced(self, obj: Any, kind: type[Any]) -> Any:
        if kind is types.FunctionType and obj.__module__ == _SPAWNED_MAIN:
            return self._dynamic_function_reduce(obj)
        if issubclass(kind, type) and obj.__module__ == _SPAWNED_MAIN:
            return cloudpickle._dynamic_class_reduce(obj)
        return super().reducer_override(obj)


def _makes_a_class(make: Any) -> bool:
    return getattr(make, "__name__", "") in ("_make_skeleton_class", "_make_skeleton_enum")


def _reduce_view(view: memoryview) -> tuple[Any, ...]:
    if not view.c_contiguous:
        raise pickle.PicklingError("a memoryview with gaps would come back without them")
    form: Any = view.format
    memoryview(bytes(view.itemsize)).cast(form)  # raises ValueError for a format in which it could not be made again
    return _view, (pickle.PickleBuffer(view), form, view.shape)


def _view(buffer: bytes | bytearray, form: Any, shape: tuple[int, ...]) -> memoryview:
    view = memoryview(buffer)
    return view if form == "B" and len(shape) == 1 else view.cast("B").cast(form, shape)


class Unpickler(pickle.Unpickler):
    """Load what `Pickler` made, without cloudpickle's changes to classes that are at home here.

    An instance of a class of `__main__` that comes back finds the class that it left. Cloudpickle then sets each
    attribute of that class to the traveller's copy: methods lose the globals of this program, class attributes their
    identity. So only guests, classes that came from elsewhere, are brought up to date.
    """

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return what a pickle names."""
        found = super().find_class(module_name, global_name)
        if module_name == "cloudpickle.cloudpickle":
            if _makes_a_class(found):
                return _class_maker(found)
            if global_name == "_class_setstate":
                return _class_setter(found)
        return found


_guests: WeakSet[type] = WeakSet()


def _class_maker(make: Callable[..., type]) -> Callable[..., type]:
    def make_unless_known(*args: Any) -> type:
        known: Mapping[str, type] = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
        for arg in args:
            # The tracker's id is a uuid: no name is taken for one.
            if isinstance(arg, str) and (found := known.get(arg)) is not None:
                return found
        made = make(*args)
        _guests.add(made)
        return made

    return make_unless_known


def _class_setter(set_state: Callable[[type, Any], type]) -> Callable[[type, Any], type]:
    def set_guest_state(target: type, state: Any) -> type:
        return set_state(target, state) if target in _guests else target

    return set_guest_state
