"""The engine: calls travel from here, and end here whatever becomes of the cluster. Each file imports only those above.

what a call is     spec.py, own_code.py, sharing.py, argument_snapshot.py, ready.py, pending.py, call.py, state.py,
                   protocols.py, callbacks.py, done.py, moments.py, future.py, at_once.py
what is known      known.py, lanes.py, offers.py; routing.py decides whether a call travels, encoding.py makes it bytes,
                   shipping.py sends its function and modules along, uploaded_archives.py: which of them Redis has
what is said       notices.py, lines.py, other_code_lines.py: to the log; tally.py, local_run_counts.py: counts
under way          events.py, batch.py, flight.py: the one table of calls; unsent.py, deadlines.py
Redis              session.py, connection_lock.py: who we are there, and the command connection; envelopes.py,
                   redis_answers.py: what it says of calls
to an outcome      outcomes.py, local.py, resolvers.py, throwaway.py, big_calls.py, cancelling.py
                   replies.py: which future a reply is for; calls.py: applies every event, settles every future
the listener       reply_connection.py: reads what comes; sending.py, resealing.py, nudging.py, outage.py: Redis goes
                   away; listener.py: the one thread
for the faces      submit.py, memory.py; lazy_listener.py: starts the listener; engine.py: the engine itself;
                   local_batch.py, map_batch.py for maps
beneath all        locks.py: the order of the locks; inside.py, deferred.py, readable.py, wakeup.py: threads, signals;
                   fork_and_exit.py; awaiting.py, html.py: loaded when they are asked for
"""
