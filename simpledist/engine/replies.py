"""Replies and the futures that wait for them: an element of this client's reply list becomes the end of a wait.

Owns the step between bytes that have come and futures: the id of the job finds its futures in the table (flight.py),
each is offered the reply, and a reply that no future waits for is only acknowledged. Decodes no outcome: that is the
work of the thread that waits (outcomes.py). Called by the thread that reads (reply_connection.py), and where Redis
answers a submit with an outcome (calls.py).
"""

from __future__ import annotations

from simpledist.broker.parsing import parse_reply
from simpledist.broker.records import Reply
from simpledist.engine import lines
from simpledist.engine.flight import Flight
from simpledist.engine.ready import RunHere
from simpledist.engine.session import Session
from simpledist.reasons import why_of


class Replies:
    """Matches replies with futures for one client; any thread may call it."""

    def __init__(self, session: Session, flight: Flight) -> None:
        self._session = session
        self._flight = flight

    def take_in(self, element: bytes) -> bool:
        """Take an element of our reply list; return whether a plain call waited for it. Ignores foreign ones."""
        try:
            reply = parse_reply(element)
        except ValueError:
            self._session.notices.tell(("foreign",), lambda: lines.foreign(self._session.client))
            return False
        return self.hand_out(reply)

    def hand_out(self, reply: Reply) -> bool:
        """Give a reply to each future that waits for its job; return whether a plain call did.

        A reply that no future waits for (its call was cancelled, or run here meanwhile) is only acknowledged.
        """
        if reply.state == "running":
            whole = self._flight.get(reply.id)
            if whole is not None and whole.call.calls > 1:
                whole.offer(reply)  # what is finished of it; who reads that puts the slow call in its place
            return False
        futures = self._flight.take(reply.id, to_read=reply.why is None)
        if not futures or reply.why is not None:
            self._session.has_read(reply.id)
        ready = reply if reply.why is None else RunHere(why_of(reply.why), reply.detail, reply.worker)
        if reply.why == "undecodable" and futures:
            self._session.uploads.lost(futures[0].call)
        if reply.why == "other_code" and futures:
            self._session.lanes.sent_home(futures[0].call, reply.worker, reply.detail)
        plain = False
        for future in futures:
            future.offer(ready)
            plain = plain or future.caller_runs
        return plain
