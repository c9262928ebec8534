"""Processes that outlive one test on purpose: the clusters that a module's tests share."""

from __future__ import annotations

roots: set[int] = set()  # of each, everything below it is its own affair
