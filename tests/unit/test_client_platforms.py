"""What a client does where the platform lacks something."""

from __future__ import annotations

import os
import select
import sys

import pytest

import simpledist
from simpledist.engine.readable import readable
from simpledist.errors import ConfigurationError


@pytest.mark.parametrize("poll", [True, False])
def test_what_can_be_read_is_found_with_and_without_poll(monkeypatch: pytest.MonkeyPatch, poll: bool) -> None:
    if not poll:  # as eventlet leaves it
        monkeypatch.delattr(select, "poll")
    read, write = os.pipe()
    try:
        assert readable([read], 0.0) == set()
        os.write(write, b"x")
        assert readable([read], 5.0) == {read}
        assert readable([read], float("inf")) == {read}
    finally:
        os.close(read)
        os.close(write)


def test_windows_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError, match="WSL"):
        simpledist.connect()
