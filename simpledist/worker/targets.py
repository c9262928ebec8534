"""Targets on the command line: which functions a worker offers under which names.

Called by the template (and by spawned children), never by the parent: importing a target is running user code.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from simpledist import job
from simpledist.errors import ConfigurationError, TargetError

Functions = dict[str, Callable[..., Any]]


def resolve(targets: Sequence[str]) -> Functions:
    """Return qualified name -> function for these targets.

    A target is `module:function | module | name=module:function`, with an optional @version.

    Raises TargetError with one line that says which target is wrong, and why.
    """
    functions: Functions = {}
    for target in targets:
        for name, function in _resolve_one(target).items():
            if functions.get(name, function) is not function:
                raise TargetError(f"target {target}: {name} is offered twice, by different functions")
            functions[name] = function
    return functions


def _resolve_one(target: str) -> Functions:
    text, at, version = target.partition("@")
    alias, equals, place = text.rpartition("=")
    module_name, colon, attribute = place.partition(":")
    if not module_name or (colon and not attribute) or (equals and not (alias and colon)) or (at and not version):
        raise TargetError(
            f"target {target!r}: write module:function, module or name=module:function, with @version or without"
        )
    module = _import(target, module_name)
    if not colon:
        found = _public(target, module)
    else:
        function: Any = module
        for part in attribute.split("."):
            function = getattr(function, part, None)
        if function is None:
            raise TargetError(f"target {target}: module {module_name} has no {attribute}")
        if not callable(function):
            raise TargetError(f"target {target}: {attribute} in module {module_name} is not a function")
        found = {attribute.rpartition(".")[2]: cast("Callable[..., Any]", function)}
    try:
        return dict(_offer(alias or None, name, version or None, value) for name, value in found.items())
    except ConfigurationError as error:
        raise TargetError(f"target {target}: {error}") from None


def _offer(alias: str | None, name: str, version: str | None, value: Any) -> tuple[str, Callable[..., Any]]:
    """Return the qualified name and the function that runs.

    A decorated function has its own name, unless the target says otherwise.
    """
    own, function = getattr(value, job.OFFER, (name, value))
    own_name, _, own_version = own.partition("@")
    return job.qualified(alias or own_name, version or own_version or None), function


def _import(target: str, name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            hint = _hint(target, name)
            raise TargetError(f"target {target}: there is no module {error.name} here (or on the path){hint}") from None
        raise TargetError(f"target {target}: importing {name} fails: {error}") from error
    except BaseException as error:
        raise TargetError(f"target {target}: importing {name} fails: {type(error).__name__}: {error}") from error


def _hint(target: str, name: str) -> str:
    """Return what a mistyped target was probably meant to be, as the end of a sentence."""
    if name.endswith(".py"):
        folder, slash, file = name.rpartition("/")
        meant = target.replace(name, file.removesuffix(".py"), 1)
        return f": did you mean {meant}{f', in the folder {folder}' if slash else ''}?"
    module, dot, function = name.rpartition(".")
    if ":" not in target and dot and module in sys.modules:
        return f": did you mean {module}:{function}?"
    return "" if ":" in target else "; a function is named MODULE:FUNCTION"


def _public(target: str, module: ModuleType) -> Functions:
    """Return its `__all__`, else the public functions defined in it."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        found = {name: getattr(module, name, None) for name in listed}
        missing = sorted(name for name, value in found.items() if value is None)
        if missing:
            raise TargetError(f"target {target}: __all__ names {', '.join(missing)}, which {module.__name__} lacks")
        functions = {name: value for name, value in found.items() if callable(value) and not inspect.isclass(value)}
    else:
        functions = {
            name: value
            for name, value in vars(module).items()
            if (inspect.isfunction(value) or hasattr(value, job.OFFER))
            and not name.startswith("_")
            and value.__module__ == module.__name__
        }
    if not functions:
        raise TargetError(f"target {target}: module {module.__name__} has no public function")
    return cast(Functions, functions)
