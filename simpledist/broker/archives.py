"""Archives in Redis (code/archive_format.py): one value each, named by its content, for as long as calls name it."""

from __future__ import annotations

import secrets

from simpledist import policy
from simpledist.broker.keys import Keys
from simpledist.broker.link import Link
from simpledist.broker.slices import Download, Upload
from simpledist.buffers import Data

_LIFETIME_MS = round(policy.ARCHIVE_SECONDS * 1000)
_NEW_MS = round(policy.TIMINGS.ended_ttl_seconds * 1000)  # until it is whole, and `renew` has said that it is wanted


class Archives:
    """Those of one namespace, over one connection."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self.link = link
        self._keys = keys

    def renew(self, name: str) -> bool:
        """Let an archive live on; return False where Redis does not have it."""
        return bool(self.link.call("PEXPIRE", self._keys.named("archive", name), _LIFETIME_MS))

    def upload(self, name: str, data: Data) -> Upload:
        """Return the upload of an archive."""
        gathering = self._keys.named("slices", f"{name}:{secrets.token_hex(4)}")
        return Upload(self.link, self._keys.named("archive", name), data, _NEW_MS, lambda: gathering)

    def download(self, name: str) -> Download:
        """Return the download of an archive."""
        return Download(self.link, self._keys.named("archive", name))
