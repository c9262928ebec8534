"""The faces of a client: what users call. Argument checks, and calls into the engine; no decision about calls.

client.py    connect, Client                        options.py   worker_function, function: their options
function.py  WorkerFunction: call, submit, map      mapping.py   the iterator of a map
executor.py  the stdlib's Executor                  progress.py  a bar for calls under way
pool.py      multiprocessing's Pool, with pool_results.py and pool_imap.py; callables.py: which way a callable goes
"""
