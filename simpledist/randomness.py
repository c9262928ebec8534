"""Random numbers in a process that is a copy, or one of many that import the same: no two draw the same ones.

Owns what can be seeded again from outside (the global states of `random`, numpy and torch), and finds what cannot:
generators that live in the modules of user code. Imports none of these libraries. Used by a worker's template and
children and by the throw-away child, at their birth.
"""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, cast

_MOST_NAMES = 8
_MOST_ITEMS = 100
_OWNERS = frozenset(("numpy", "scipy", "torch", "simpledist", "hypothesis", "_pytest", "pytest"))


def begin_anew() -> None:
    """Give this process random numbers of its own, wherever a library keeps a global state."""
    for seed in (_seed_random, _seed_numpy, _seed_torch):
        with contextlib.suppress(Exception):  # another version of a library: it must not end the process
            seed()


def _seed_random() -> None:
    if (random := sys.modules.get("random")) is not None:
        random.seed()


def _seed_numpy() -> None:
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is None:
        return
    state = numpy.mtrand._rand
    generator = state._bit_generator
    if getattr(generator, "_seed_seq", None) is None:
        # It was seeded on purpose: descend from that seed.
        entropy = int.from_bytes(blake2b(repr(generator.state).encode(), digest_size=32).digest(), "big")
        sequence = numpy.SeedSequence(entropy, spawn_key=(int.from_bytes(os.urandom(16), "big"),))
    else:
        sequence = numpy.SeedSequence()
    fresh = type(generator)(sequence)
    if hasattr(fresh, "_legacy_seeding"):
        state.set_state(numpy.RandomState(fresh).get_state())  # with no number left over from before
    else:
        generator.state = fresh.state


def _seed_torch() -> None:
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)


def generators_in_modules() -> list[str]:
    """Return where generators live that every copy of this process would share, as `module.name`; a few of them."""
    kinds, ours = _kinds()
    names: list[str] = []
    seen = set(ours)
    for module_name, module in list(sys.modules.items()):
        top = module_name.partition(".")[0]
        if top in sys.stdlib_module_names or top in _OWNERS or not issubclass(_kind(module), types.ModuleType):
            continue
        for name, value in list(vars(module).items()):
            for place, one in _within(f"{module_name}.{name}", value, module_name):
                if issubclass(_kind(one), kinds) and id(one) not in seen and not _draws_from_the_system(one):
                    seen.add(id(one))
                    names.append(place)
    more = len(names) - _MOST_NAMES
    return names[:_MOST_NAMES] + ([f"{more} more"] if more > 0 else [])


def _kinds() -> tuple[tuple[type, ...], list[int]]:
    """Return the types of generators that are loaded, and the ids of those that `begin_anew` seeds."""
    kinds: list[type] = []
    ours: list[int] = []
    with contextlib.suppress(KeyError, AttributeError):
        kinds.append(sys.modules["random"].Random)
        ours.append(id(sys.modules["random"]._inst))
    with contextlib.suppress(KeyError, AttributeError):
        numpy: Any = sys.modules["numpy.random"]
        kinds += (numpy.Generator, numpy.RandomState, numpy.BitGenerator)
        ours += (id(numpy.mtrand._rand), id(numpy.mtrand._rand._bit_generator))
    with contextlib.suppress(KeyError, AttributeError):
        torch: Any = sys.modules["torch"]
        kinds.append(torch.Generator)
        ours.append(id(torch.default_generator))
    return tuple(kinds), ours


def _draws_from_the_system(one: object) -> bool:
    random = sys.modules.get("random")
    return random is not None and issubclass(_kind(one), random.SystemRandom)


def _within(name: str, value: Any, module: str) -> Iterator[tuple[str, Any]]:
    """Yield what a module's variable holds at its surface: itself, defaults and closure, attributes, items."""
    yield name, value
    kind = _kind(value)
    if issubclass(kind, types.FunctionType):
        function = cast("types.FunctionType", value)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            yield f"{name} (a default)", default
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # not filled yet
                yield f"{name} (its closure)", cell.cell_contents
    elif issubclass(kind, dict):
        for key, item in list(cast("dict[Any, Any]", value).items())[:_MOST_ITEMS]:
            yield f"{name}[{key!r}]"[:100], item
    elif issubclass(kind, (list, tuple)):
        for number, item in enumerate(cast("tuple[Any, ...]", value)[:_MOST_ITEMS]):
            yield f"{name}[{number}]", item
    elif issubclass(kind, type):
        if value.__module__ == module:
            for attribute, item in list(cast("dict[str, Any]", vars(value)).items()):
                yield f"{name}.{attribute}", item
    elif not issubclass(kind, types.ModuleType):
        attributes: Any = _attributes(value)
        if type(attributes) is dict:
            for attribute, item in list(cast("dict[str, Any]", attributes).items())[:_MOST_ITEMS]:
                yield f"{name}.{attribute}", item


def _kind(value: object) -> type[object]:
    """Return the type of an object, without asking it: a lazy proxy answers `isinstance` by making its target."""
    return type(value)


def _attributes(value: Any) -> Any:
    """Return the attributes that lie in an object, or None; a proxy's answer raises whatever its target raises."""
    with contextlib.suppress(Exception):
        return object.__getattribute__(value, "__dict__")
    return None
