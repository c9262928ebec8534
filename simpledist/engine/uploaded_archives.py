"""Archives that this client has put into Redis: which ones are there, as far as is known, and how one gets there.

A call names the archive with the modules that it needs (code/travelling_modules.py); that is in Redis before the call
is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from simpledist import policy
from simpledist.broker.archives import Archives
from simpledist.broker.slices import Upload
from simpledist.code.archive_format import Archive

T = TypeVar("T")


class UploadedArchives:
    """Any thread may ask; that two bring the same archive does no harm."""

    def __init__(
        self,
        archives: Archives,
        *,
        epoch: Callable[[], str],
        small: Callable[[Callable[[Any], bool]], bool],
        move: Callable[[Upload, float | None], None],
    ) -> None:
        self._archives = archives
        self._epoch = epoch
        self._small = small
        self._move = move
        self._at: dict[str, tuple[str, float]] = {}  # name -> the epoch of Redis, and when (time.monotonic())

    def has(self, archive: Archive | None) -> bool:
        """Return whether Redis has what a call needs: nothing, or an archive that was put there a while ago."""
        if archive is None:
            return True
        epoch, at = self._at.get(archive.name, ("", float("-inf")))
        return epoch == self._epoch() and time.monotonic() - at < policy.ARCHIVE_RENEWED_SECONDS

    def put(self, archive: Archive | None, *, until: float | None = None) -> None:
        """Let Redis have what a call needs. Raises as `Session.put_beside`."""
        if archive is None or self.has(archive):
            return
        epoch = self._epoch()
        if not self._renewed(archive):
            self._move(self._archives.upload(archive.name, archive.data), until)
            self._renewed(archive)
        self._at[archive.name] = epoch, time.monotonic()

    def _renewed(self, archive: Archive) -> bool:
        return self._small(lambda _: self._archives.renew(archive.name))

    def lost(self, archive: Archive | None) -> None:
        """Note that a worker could do nothing with it: the next call that needs it looks whether it is there."""
        if archive is not None:
            self._at.pop(archive.name, None)
