"""Archives and blobs of this client in Redis: which ones are there, as far as is known, and how one gets there.

A call names the archive with the modules that it needs (code/travelling_modules.py), and its blobs
(shared_objects.py). They are in Redis before the call is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from simpledist import policy
from simpledist.broker import Broker, facts_of
from simpledist.broker.contents import Contents
from simpledist.broker.slices import Upload
from simpledist.buffers import Blob
from simpledist.code.archive_format import Archive
from simpledist.engine.call import Call
from simpledist.engine.signal_safe_event import SignalSafeEvent
from simpledist.errors import BudgetSpent, NoRoom, RedisRefused

T = TypeVar("T")

_SECONDS = {"archive": policy.ARCHIVE_RENEWED_SECONDS, "blob": policy.BLOB_RENEWED_SECONDS}


class Uploads:
    """Any thread may ask. One thread puts a blob, and others that need it wait for that.

    `small` sends one small command; `move` moves an upload, until its time is over.
    """

    def __init__(
        self,
        archives: Contents,
        blobs: Contents,
        *,
        epoch: Callable[[], str],
        small: Callable[[Callable[[Broker], Any]], Any],
        move: Callable[[Upload, float | None], None],
    ) -> None:
        self._archives = archives
        self._blobs = blobs
        self._epoch = epoch
        self._small = small
        self._move = move
        self._at: dict[str, tuple[str, float]] = {}  # name -> the epoch of Redis, and when (time.monotonic())
        self._lost: set[str] = set()  # blobs that a worker missed: whatever Redis has of them is put again
        self.blobs_put = False  # whether there ever was one
        self._coming: dict[str, SignalSafeEvent] = {}  # blobs that are being put

    def has(self, call: Call) -> bool:
        """Return whether Redis has what a call needs: nothing, or what was put there a while ago."""
        archive = call.archive
        if archive is None and type(call.body) is bytes:
            return True
        if archive is not None and not self._has(archive.name, "archive"):
            return False
        return all(self._has(blob.name, "blob") for blob in call.blobs)

    def _has(self, name: str, kind: str) -> bool:
        epoch, at = self._at.get(name, ("", float("-inf")))
        return epoch == self._epoch() and time.monotonic() - at < _SECONDS[kind]

    def put(self, call: Call, *, until: float | None = None) -> None:
        """Let Redis have what a call needs. Raises as `Session.put_beside`, and NoRoom for a blob."""
        if call.archive is not None and not self._has(call.archive.name, "archive"):
            self._put_archive(call.archive, until)
        for blob in call.blobs:
            self._put_blob(blob, until)

    def lost(self, call: Call) -> None:
        """Note that a worker could do nothing with the archive of a call: the next call looks whether it is there."""
        if call.archive is not None:
            self._at.pop(call.archive.name, None)

    def lost_blobs(self, call: Call) -> None:
        """Note that a worker missed a blob of a call: they are put again."""
        for blob in call.blobs:
            self._at.pop(blob.name, None)
            self._lost.add(blob.name)

    def _put_archive(self, archive: Archive, until: float | None) -> None:
        epoch, archives = self._epoch(), self._archives
        if not self._small(lambda _: archives.renew_archive(archive.name)):
            self._move(archives.upload(archive.name, archive.data), until)
            self._small(lambda _: archives.renew_archive(archive.name))
        self._at[archive.name] = epoch, time.monotonic()

    # --- blobs ---------------------------------------------------------------------------------------------------

    def _put_blob(self, blob: Blob, until: float | None) -> None:
        while not self._has(blob.name, "blob"):
            mine = SignalSafeEvent()
            try:
                try:
                    coming = self._coming.setdefault(blob.name, mine)
                    if coming is mine:
                        self._bring(blob, until)
                        return
                finally:
                    self._no_longer_coming(blob, mine)
            except BaseException:
                self._no_longer_coming(blob, mine)  # Ctrl-C may come before the line above
                raise
            if not coming.wait(None if until is None else until - time.monotonic()):
                raise BudgetSpent("its shared objects were still on their way to Redis")

    def _no_longer_coming(self, blob: Blob, mine: SignalSafeEvent) -> None:
        if self._coming.get(blob.name) is mine:
            del self._coming[blob.name]
        mine.set()

    def _bring(self, blob: Blob, until: float | None) -> None:
        epoch, name, self.blobs_put = self._epoch(), blob.name, True
        budget, word = self._small(lambda broker: _asked(broker, blob))
        if word == "there" and name in self._lost:
            word = "put"
        if word == "full":
            raise NoRoom(f"Redis has no room for another blob of {blob.size:,} bytes")
        if word == "put":
            self._move(self._blobs.upload(name, blob.encode()), until)
            self._lost.discard(name)
            self._small(lambda broker: admitted(broker, [blob], budget))
        self._at[name] = epoch, time.monotonic()

    def renew(self, broker: Broker, calls: Sequence[Call]) -> None:
        """Let the blobs of calls in flight live on, over the listener's connection. Raises RedisDown."""
        due = {
            blob.name: blob
            for call in calls
            for blob in call.blobs
            if blob.name in self._at and not self._has(blob.name, "blob") and blob.name not in self._coming
        }
        if not due:
            return
        try:
            words = admitted(broker, list(due.values()), _budget_bytes(broker))
        except RedisRefused:  # a full Redis, or one whose rights were changed: the calls say so
            return
        for name, word in zip(due, words, strict=True):
            if word == "there":
                self._at[name] = self._epoch(), time.monotonic()
            else:
                self._at.pop(name, None)


def admitted(broker: Broker, blobs: Sequence[Blob], budget_bytes: int) -> list[str]:
    """Ask whether Redis has these blobs, or has room for them."""
    return broker.admit([(blob.name, blob.size) for blob in blobs], budget_bytes)


def _asked(broker: Broker, blob: Blob) -> tuple[int, str]:
    """Return the budget, and what Redis says of a blob."""
    budget_bytes = _budget_bytes(broker)
    return budget_bytes, admitted(broker, [blob], budget_bytes)[0]


def _budget_bytes(broker: Broker) -> int:
    """Return what all blobs of this Redis may take together."""
    try:
        facts = facts_of(broker.link.call("INFO", "memory"))
    except RedisRefused:
        facts = {}
    most = facts.get("maxmemory", "0")
    return int(most) // 4 if most.isdigit() and int(most) else policy.BLOBS_BYTES
