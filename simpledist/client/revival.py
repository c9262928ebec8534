"""What a client, a worker function and an executor are where they arrive as somebody's argument: nested, and local.

A pickled client holds no address, no password and no key: nothing of it is for Redis or for another process. In the
process that it comes from it is itself again; elsewhere it opens nothing, as in a worker's child. Loaded when one of
them is pickled or arrives.
"""

from __future__ import annotations

import sys
from typing import Any

from simpledist.client import lifetime
from simpledist.client.client import Client
from simpledist.client.executor import Executor
from simpledist.client.function import WorkerFunction
from simpledist.config import Config
from simpledist.wire.signing import Keyring

Reduced = str | tuple[Any, ...]


def reduced_client(one: Client, codec: str, local_slots: int, max_value_bytes: int) -> Reduced:
    return client, (one.id, codec, local_slots, max_value_bytes)


def client(id: str, codec: str, local_slots: int, max_value_bytes: int) -> Client:
    """The client of this id, if it lives in this process; else one that opens nothing."""
    for one in lifetime.living():
        if isinstance(one, Client) and one.id == id:
            return one
    made = Client(Config(), Keyring(), codec=codec, local_slots=local_slots, max_value_bytes=max_value_bytes)
    made.nest()
    return made


def reduced_function(one: WorkerFunction[..., Any], *options: Any) -> Reduced:
    """By name where its module has it, as one that was decorated; else by what it was made of."""
    module, name = getattr(one, "__module__", None), getattr(one, "__qualname__", "")
    found: Any = sys.modules.get(module) if module and module != "__main__" else None
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is one else (WorkerFunction, (one.client, one.function, one.local, *options))


def reduced_executor(one: Client, slots: int) -> Reduced:
    return executor, (one, slots)


def executor(client: Client, max_workers: int) -> Executor:
    return client.executor(max_workers)
