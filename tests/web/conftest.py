"""Fixtures of the dashboard's tests: a stage with something on it, the application served on a free port, a browser."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.embedded import EmbeddedRedis
from tests import needs, standing
from tests.stage import Stage
from tests.web.browser import Browser, start
from tests.web.site import ERROR, HOSTILE, Site


@pytest.fixture
def stage(redis_server: EmbeddedRedis) -> Iterator[Stage]:
    one = Stage(redis_server)
    yield one
    one.close()


@pytest.fixture
def busy(stage: Stage) -> Stage:
    """Two workers, one of a hostile name; jobs queued, running, ended well and badly, here and there."""
    stage.worker("w1", "fib", "gcd@2", label="alder")
    stage.worker("w2", "fib", label=HOSTILE)
    stage.run(30)
    stage.run(3, error=ERROR)
    stage.submit(7)
    stage.broker.claim("w1", "n", "fib", [], [0, 1, 2])
    stage.broker.ack("c1", [], {("fib", "no_worker"): 4, ("nobody@9", "no_worker"): 2})
    return stage


@pytest.fixture
def site(busy: Stage) -> Iterator[Site]:
    one = Site(busy)
    yield one
    one.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this folder; take `browser` instead."""
    binary = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        needs.missing("no chromium here: apt-get install chromium chromium-driver")
    profile = tempfile.mkdtemp(prefix="sd-browser-")
    browser = start(binary, driver, profile)
    standing.roots.add(browser.pid)
    yield browser
    browser.quit()
    standing.roots.discard(browser.pid)
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser on an empty page; the test fails if a page wrote to the console or broke the policy."""
    chromium.empty()
    yield chromium
    complaints = chromium.complaints()
    chromium.empty()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core, fetched from npm's registry once."""
    npm = needs.program("npm")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(
        [npm, "pack", "--silent", "axe-core@4.10.3"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()
