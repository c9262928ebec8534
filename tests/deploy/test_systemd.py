"""systemd itself reads the units: no setting is unknown, and their exposure is small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.deploy.files import UNITS, unit

EXPOSURE_MOST = 2.5  # of 10, by `systemd-analyze security`


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units with the programs of this environment, and an instance of the worker's."""
    here = Path(sys.executable).parent
    found: list[Path] = []
    for path in UNITS:
        copy = tmp_path / path.name.replace("@.", "@fns.")
        copy.write_text(path.read_text("utf-8").replace("/opt/simpledist/bin", str(here)))
        found.append(copy)
    return found


def test_systemd_knows_every_setting(installed: list[Path]) -> None:
    done = subprocess.run(
        [needs.program("systemd-analyze"), "verify", "--recursive-errors=no", *map(str, installed)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_what_a_unit_may_do_is_little(installed: list[Path]) -> None:
    for path in installed:
        done = subprocess.run(
            [needs.program("systemd-analyze"), "security", "--offline=yes", "--no-pager", str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
        assert level
        assert float(level[1]) <= EXPOSURE_MOST, path.name


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_that_ends_with_0_stays_away_and_a_mistake_is_not_tried_again(path: Path) -> None:
    values = unit(path)
    assert values["Restart"] == "on-failure"
    assert values["RestartPreventExitStatus"] == "2"


def test_a_worker_is_drained_alone_and_the_death_of_a_child_is_its_own() -> None:
    values = unit(next(path for path in UNITS if "worker" in path.name))
    assert values["KillMode"] == "mixed"
    assert values["OOMPolicy"] == "continue"
