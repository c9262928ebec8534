"""What user code prints: whole lines on the worker's stderr, with the job's id in front."""

from __future__ import annotations

import io
import os


class Output(io.TextIOBase):
    """A text stream over descriptor 2 that marks each line with the job that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.job = ""
        self._line = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def write(self, text: str, /) -> int:
        lines = (self._line + text).split("\n")
        self._line = lines.pop()
        self._put(lines)
        return len(text)

    def end_job(self) -> None:
        """The job is over: what it left without a newline gets one."""
        if self._line:
            line, self._line = self._line, ""
            self._put([line])
        self.job = ""

    def _put(self, lines: list[str]) -> None:
        if not lines:
            return
        mark = f"[{self.job}] " if self.job else ""
        data = "".join(f"{mark}{line}\n" for line in lines).encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(2, data) :]
        except OSError:
            return  # nobody reads it; that is not the function's trouble
