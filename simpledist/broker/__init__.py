"""The distributed truth: keys, verbs and their Lua; the only package that imports redis."""

from simpledist.broker.broker import Broker
from simpledist.broker.keys import Keys
from simpledist.broker.link import Link, evicts, facts_of

__all__ = ["Broker", "Keys", "Link", "evicts", "facts_of"]
