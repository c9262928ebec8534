"""Every error of ours: its family, its remedy, and its way through a pickle."""

from __future__ import annotations

import pytest

from simpledist import errors
from simpledist.errors import SimpledistError
from simpledist.wire import serializers


def family(root: type[SimpledistError]) -> list[type[SimpledistError]]:
    return [root] + [one for child in root.__subclasses__() for one in family(child)]


EVERY = sorted(
    {one for one in family(SimpledistError) if one.__module__ == errors.__name__}, key=lambda one: one.__name__
)


MADE_OF: dict[type[SimpledistError], tuple[object, ...]] = {errors.JobTimeout: ("fib", 2.5)}  # the others: of a text


def test_the_tree_is_what_it_says() -> None:
    assert {one.__name__ for one in EVERY} == {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert issubclass(errors.WrongKey, errors.BadEnvelope)
    assert issubclass(errors.ConfigurationError, ValueError)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling(kind: type[SimpledistError]) -> None:
    error = kind(*MADE_OF.get(kind, ("what happened, to whom, what to do",)))
    back = serializers.loads("pickle", serializers.dumps("pickle", error))
    assert type(back) is kind
    assert back.args == error.args
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_has_a_docstring_of_its_own(kind: type[SimpledistError]) -> None:
    assert kind.__dict__.get("__doc__")


def test_a_call_raises_only_what_is_the_outcome_of_a_job() -> None:
    outcomes = {one.__name__ for one in family(errors.JobError)}
    assert outcomes == {"JobError", "FunctionCrashed", "JobTimeout"}
    assert not issubclass(errors.JobError, errors.OperatorError)


def test_a_remote_traceback_shows_its_text_below_a_blank_line() -> None:
    assert str(errors.RemoteTraceback("Traceback ...")) == "\nTraceback ..."
    assert errors.RemoteTraceback("Traceback ...").text == "Traceback ..."
