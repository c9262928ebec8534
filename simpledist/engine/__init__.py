"""The engine: calls travel from here, and end here whatever becomes of the cluster. Each file imports only those above.

what a call is     spec.py, sharing.py, snapshot.py, ready.py, pending.py, call.py, owner.py, future.py, at_once.py
what is known      known.py, lanes.py, offers.py; routing.py decides whether a call travels, encoding.py makes it bytes
under way          events.py, batch.py, flight.py: the one table of calls; unsent.py, deadlines.py
Redis              session.py, turns.py: who we are there, and the command connection; envelopes.py, answers.py
to an outcome      outcomes.py, local.py, resolvers.py, throwaway.py, big_calls.py, cancelling.py
                   calls.py: applies every event, owns every future
the listener       replies.py, sending.py, resealing.py, nudging.py, listener.py: the one thread
for the faces      submit.py, memory.py, reach.py, engine.py: the engine itself; local_batch.py, map_batch.py for maps
beneath all        locks.py: the order of the locks; inside.py, deferred.py, readable.py, wakeup.py,
                   lifetime.py: threads, signals, fork and exit; awaiting.py, html.py: loaded when they are asked for
"""
