"""The distributed truth: keys, verbs and their Lua; the only package that imports redis.

keys.py, lane.py       every name in Redis              broker.py, records.py  the verbs, their arguments and replies
scripts.py, composing.py  the verbs' Lua (lua/)         parsing.py, shapes.py, rows.py  what Redis answers, with bounds
link.py, connection.py, stream.py, resp.py, library_stream.py  one connection; sentinel.py, server_owner.py: to whom
slices.py, contents.py    big values                    closed_connections.py  a sign that a process has died
denials.py                what a refusal means          repairs.py             what no verb wrote, and goes
worker_stats.py           numbers for people            client_demand.py       jobs at clients that want a worker

In lua/ each verb has a file; what verbs share is in files by noun: `_worker_death.lua` declares workers dead,
`_client.lua` drops the jobs of dead clients, `_offer.lua` says who may serve a call, `_job.lua` and `_queue.lua` have
the ledger. A job that crashed its child is counted in `fail.lua`.
"""

from simpledist.broker.broker import Broker
from simpledist.broker.keys import Keys
from simpledist.broker.link import Link, evicts, facts_of

__all__ = ["Broker", "Keys", "Link", "evicts", "facts_of"]
