"""The client: calls travel from here, and end here whatever becomes of the cluster.

client.py    Client and connect: the facade            function.py  WorkerFunction: call, submit, map
future.py    Future: one call and its outcome          session.py   who we are in Redis; submit, cancel, fetch
listener.py  the one thread: replies, nudges           outcomes.py  replies and reasons become outcomes
replies.py   the reply connection, lent to plain calls
local.py     local runs of futures, one at a time      throwaway.py a child for calls that kill processes
chunks.py    short calls of a map as one job           mapping.py   the iterator of a map
staying.py   which calls run here, and what they cost  block.py     calls of a map in its caller's own loop
lanes.py     where calls are submitted, what they ask  words.py     what a nudge said, sorted
absence.py   functions that no worker may have         readable.py  what the listener sleeps in
bundle.py    the same for single submits               outbox.py    calls that wait to be sent together
sharing.py   join and cache: what makes two calls the same call, and who waits together
memory.py    memory://: a cluster without Redis, for unit tests
executor.py  the stdlib's interface to all of it       promises.py  what an executor has taken and must end
offers.py    what the live workers offer               progress.py  a bar for calls under way
html.py      tables for notebooks
"""
