"""The info of a call that ran on a worker: made in a quick way, and the same as any other."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from simpledist.job import Info, remote_info

MADE = remote_info("w1", "2", 3, 0.5, 1.5, joined=True)
SAME = Info("remote", None, "w1", "2", 3, 0.5, 1.5, joined=True, cached=False, detail=None)


def test_it_is_an_info_like_any_other() -> None:
    assert type(MADE) is Info
    assert (MADE, hash(MADE), repr(MADE)) == (SAME, hash(SAME), repr(SAME))
    assert pickle.loads(pickle.dumps(MADE)) == dataclasses.replace(MADE) == SAME  # noqa: S301 - made here


def test_no_one_changes_it() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MADE.attempts = 4  # type: ignore[misc]
