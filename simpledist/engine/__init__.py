"""The engine: calls travel from here, and end here whatever becomes of the cluster.

Each file imports only files that stand before it in this list.

threads, signals   locks.py: the order of the locks; signal_safe_event.py; inside.py, deferred.py, readable.py,
                   wakeup.py, moments.py; fork_and_exit.py
a function         known.py: what a client knows of it; own_code.py, sharing.py, tally.py; argument_snapshot.py,
                   throwaway.py, limited.py; spec.py; repeated_buffers.py, shared_objects.py
a call             ready.py, pending.py, call.py, state.py, protocols.py,
                   callbacks.py, done.py, awaiting.py, html.py, future.py, at_once.py
its way            routing.py: whether it travels; argument_lines.py: which code its arguments name; encoding.py
                   makes it bytes
what is said       notices.py, local_run_counts.py, other_code_lines.py, lanes.py, lines.py: to the log, and counts
Redis              connection_lock.py, uploads.py, session.py: who we are there, and the command connection;
                   offers.py, envelopes.py; shipping.py sends functions and modules along
under way          events.py, redis_answers.py: what Redis says of calls; batch.py, flight.py: the one table of calls;
                   unsent.py, deadlines.py
to an outcome      outcomes.py, demand.py, local.py, resolvers.py, big_calls.py, cancelling.py; replies.py: which
                   future a reply is for; calls.py: applies every event; departing.py
the listener       reply_connection.py: reads what comes; sending.py, resealing.py, nudging.py, outage.py: Redis goes
                   away; listener.py: the one thread
for the faces      submit.py, memory.py; lazy_listener.py: starts the listener; engine.py: the engine itself;
                   local_batch.py, map_batch.py for maps
"""
