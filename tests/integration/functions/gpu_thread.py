"""The same, of a module that has started a thread: its children are no forks."""

from __future__ import annotations

import threading

from gpu import visible

__all__ = ["visible"]

threading.Thread(target=threading.Event().wait, daemon=True).start()
