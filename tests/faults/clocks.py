"""Processes whose wall clock is wrong or jumps while they run: libfaketime, put before their C library."""

from __future__ import annotations

from pathlib import Path

from tests import needs


class Clock:
    """One wall clock; `environment` is that of anyone who shall live by it. How long things take stays as it is."""

    def __init__(self, file: Path, offset: str = "+0") -> None:
        needs.program("faketime")
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            needs.missing("no libfaketimeMT.so.1 under /usr/lib: apt-get install faketime")
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.jump(offset)

    def jump(self, offset: str) -> None:
        """From now on it is so far off: "+2h", "-3650d"."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(offset)
        fresh.replace(self._file)
