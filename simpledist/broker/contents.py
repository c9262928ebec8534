"""Values in Redis that are named by their content, archives (code/archive_format.py) and blobs, as long as calls do."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Literal

from simpledist import policy
from simpledist.broker.keys import Keys
from simpledist.broker.link import Link
from simpledist.broker.slices import Download, Upload
from simpledist.buffers import Data, Filling

_ARCHIVE_MS = round(policy.ARCHIVE_SECONDS * 1000)
_NEW_MS = round(policy.TIMINGS.ended_ttl_seconds * 1000)  # until it is whole, and was said to be wanted


class Contents:
    """Those of one kind in one namespace, over one connection."""

    def __init__(self, link: Link, keys: Keys, kind: Literal["archive", "blob"]) -> None:
        self.link = link
        self._keys = keys
        self._kind: str = kind

    def renew_archive(self, name: str) -> bool:
        """Let an archive live on; return False where Redis does not have it. Blobs: Broker.admit."""
        return bool(self.link.call("PEXPIRE", self._keys.named("archive", name), _ARCHIVE_MS))

    def upload(self, name: str, data: Data) -> Upload:
        """Return the upload of a value."""
        gathering = self._keys.named("slices", f"{name}:{secrets.token_hex(4)}")
        return Upload(self.link, self._keys.named(self._kind, name), data, _NEW_MS, lambda: gathering)

    def download(self, name: str, room: Callable[[int], Filling] = Filling) -> Download:
        """Return the download of a value, into `room`."""
        return Download(self.link, self._keys.named(self._kind, name), room)
