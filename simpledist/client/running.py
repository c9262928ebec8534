"""How one call is run in this process, or in a throw-away child where it may kill the process that runs it.

With what it was given when it was made. Called by outcomes.py, in whatever thread the call is run.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simpledist.client.call import Call
from simpledist.job import SUSPECT, Why


def run(call: Call, why: Why) -> Any:
    """The value of the call, or its exception."""
    if why not in SUSPECT:
        args, kwargs = call.given()
        return call.local(*args, **kwargs)
    throwaway, crashed = import_module("simpledist.client.throwaway"), why == "crashed"
    # Never `given()`, which loads: loading may be what kills.
    return throwaway.run(call.function, call.local, call.args, call.kwargs, sent=call.sent(), crashed=crashed)
