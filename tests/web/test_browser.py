"""The dashboard in a real browser: it lives, it survives Redis, it says nothing to the console, all can use it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from tests.stage import Stage
from tests.waiting import wait_until
from tests.web.browser import Browser
from tests.web.site import HOSTILE, Site

PAGES = {
    "/": "The last minute",
    "/functions": "no live worker offers it",
    "/functions/fib": "last day by 15 minutes",
    "/workers": "alder",
    "/workers/w1": "alder",
    "/workers/w2": "last beat",
    "/jobs": "running",
    "/jobs?state=queued": "place",
    "/jobs?state=ended": "succeeded",
    "/jobs/c1-33": "What happened",
    "/errors": "ValueError",
}
HIDE = """
Object.defineProperty(document, 'hidden', {configurable: true, get: () => arguments[0]});
document.dispatchEvent(new Event('visibilitychange'));
"""

WITHOUT_SCROLLING = ("/functions", "/workers")
SCROLLED = (
    "return Math.max(0, ...[...document.querySelectorAll('.wide')].map((one) => one.scrollWidth - one.clientWidth))"
)
OVERLAPS = """
const boxes = [...document.querySelectorAll('figcaption > *, .marks text, .legend > *, .plot')]
  .map((one) => one.getBoundingClientRect()).filter((one) => one.width && one.height);
return boxes.some((a, i) => boxes.some((b, j) => i < j && a.left < b.right - 1 && b.left < a.right - 1
  && a.top < b.bottom - 1 && b.top < a.bottom - 1));
"""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]  # in the dark only colours are others
FAULTS = """
const [rules, done] = arguments;
const words = (node) => `${node.html} ${node.any.map((one) => one.message)}`;
axe.run(document, {runOnly: rules}).then((result) => done(result.violations
  .filter((one) => ['serious', 'critical'].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map(words).join(' | ')}`)));
"""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_what_it_is_for_and_runs_nothing_of_its_names(site: Site, browser: Browser, path: str) -> None:
    browser.open(site.url + path)
    browser.wait_for(PAGES[path])
    assert browser.run("return document.querySelectorAll('main img, main script, main b.x').length") == 0
    browser.wait_for("live", "#pulse")


def test_what_happens_is_shown_within_seconds_in_the_same_elements(site: Site, browser: Browser, busy: Stage) -> None:
    browser.open(site.url + "/functions")
    browser.wait_for("fib")
    browser.run("document.getElementById('f-fib').dataset.mine = 'kept'; window.mine = 1")
    busy.submit(1000)
    browser.wait_for("1,004")
    assert browser.run("return [document.getElementById('f-fib').dataset.mine ?? null, window.mine]")[1] == 1
    busy.submit(1, "another")
    browser.wait_for("another")
    assert browser.run("return document.querySelectorAll('tbody tr').length") == 4


def test_what_a_person_opened_and_typed_stays(site: Site, browser: Browser, busy: Stage) -> None:
    browser.open(site.url + "/errors")
    browser.wait_for("traceback")
    browser.run("document.querySelector('details').open = true")
    browser.wait_for("most recent call last")
    busy.run(2, error="KeyError: 1\nfns.py:9 in other\ntrace")
    browser.wait_for("KeyError")
    assert "most recent call last" in browser.text()
    browser.open(site.url + "/jobs")
    browser.run("const box = document.querySelector('[name=function]'); box.focus(); box.value = 'gc'")
    busy.broker.claim("w1", "m", "fib", [], [3])
    browser.wait_for("running 4")
    assert browser.run("return [document.activeElement.name, document.activeElement.value]") == ["function", "gc"]


def test_the_stream_draws_every_job_and_opens_the_one_that_is_chosen(site: Site, browser: Browser, busy: Stage) -> None:
    browser.look(1280, 1000)
    browser.open(site.url + "/")
    bars = "return Number(document.getElementById('tracks')?.dataset.bars ?? 0)"
    wait_until(lambda: browser.run(bars) == 36, 10, "36 bars")
    busy.run(4)
    wait_until(lambda: browser.run(bars) == 40, 10, "40 bars")
    wait_until(lambda: drawn(browser) > 3, 10, "colours on the canvas")
    browser.run(
        "const c = document.getElementById('tracks'); c.focus();"
        "for (const key of ['ArrowRight', 'ArrowRight']) c.dispatchEvent(new KeyboardEvent('keydown', {key}))"
    )
    browser.wait_for("slot", "#tip")
    browser.run("document.getElementById('tracks').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))")
    browser.wait_for("What happened")
    assert "/jobs/c1-" in browser.driver.current_url


def drawn(browser: Browser) -> int:
    """How many colours are on the canvas."""
    return browser.run(
        "const c = document.getElementById('tracks');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = new Set();"
        "for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return seen.size"
    )


def test_a_redis_that_stops_is_said_plainly_and_its_return_needs_no_reload(
    site: Site, browser: Browser, busy: Stage
) -> None:
    browser.open(site.url + "/")
    browser.wait_for("The last minute")
    browser.run("window.mine = 1")
    busy.server.stop()
    browser.wait_for("Redis is away")
    browser.wait_for("Redis is away", "#pulse")
    busy.server.start()
    browser.wait_for("live", "#pulse")
    browser.wait_for("Nothing runs yet")
    busy.link.connect()
    busy.worker("w1", "fib")
    busy.run(3)
    browser.wait_for("The last minute")
    bars = "return Number(document.getElementById('tracks')?.dataset.bars ?? 0)"
    wait_until(lambda: browser.run(bars) == 3, 10, "the new bars")
    assert browser.run("return window.mine") == 1
    browser.complaints(but=[])  # the browser itself notes each 503


def test_a_hidden_page_asks_for_nothing_and_wakes_up_at_once(site: Site, browser: Browser, busy: Stage) -> None:
    browser.open(site.url + "/functions")
    browser.wait_for("live", "#pulse")
    browser.run(HIDE, True)
    browser.wait_for("paused", "#pulse")
    asked = "return performance.getEntriesByType('resource').length"
    before = browser.run(asked)
    busy.submit(500)
    wait_until(lambda: site.monitor.snapshot().functions[0].queued == 504, 5, "Redis has them")
    assert browser.run(asked) <= before + 1, "at most what was under way"
    assert "504" not in browser.text()
    browser.run(HIDE, False)
    browser.wait_for("504")


def test_without_scripts_the_pages_are_tables(site: Site, browser: Browser) -> None:
    browser.scripts(allowed=False)
    try:
        for path, words in PAGES.items():
            browser.open(site.url + path)
            assert words.lower() in browser.driver.find_element("tag name", "main").text.lower(), path
    finally:
        browser.scripts(allowed=True)


def test_the_token_is_brought_once(busy: Stage, browser: Browser) -> None:
    token = "t" * 40
    guarded = Site(busy, token=token)
    try:
        browser.open(f"{guarded.url}/")
        assert "token" in browser.text("body")
        browser.open(f"{guarded.url}/functions?token={token}")
        browser.wait_for("live", "#pulse")
        assert token not in browser.driver.current_url
        assert browser.run("return document.cookie") == ""
    finally:
        browser.driver.delete_all_cookies()
        guarded.close()
    browser.complaints()  # the browser itself notes the 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1300, 2560])
def test_pages_fit_every_screen(site: Site, browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    browser.look(width, 900, scheme)
    for path, words in PAGES.items():
        browser.open(site.url + path)
        browser.wait_for(words)
        wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{path} at {width} px is {wide[0]} px wide"
        assert not browser.run(OVERLAPS), f"{path} at {width} px: labels lie over each other"
        if path in WITHOUT_SCROLLING:
            assert browser.run(SCROLLED) <= 0, f"{path} at {width} px has a table that is scrolled sideways"
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (sum(numbers(ground)) < 384) == (scheme == "dark"), ground
    shot = browser.screenshot()
    (tmp_path / f"errors-{width}-{scheme}.png").write_bytes(shot)
    assert size_of(shot)[0] == width
    assert len(zlib.compress(shot)) > 2000, "something is on it"


def numbers(colour: str) -> list[float]:
    return [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(site: Site, browser: Browser, axe: str, scheme: str) -> None:
    browser.look(1280, 900, scheme)
    browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    found: list[str] = []
    for path in [*PAGES, "/nope"]:
        browser.open(site.url + path)
        browser.run(axe)
        faults = browser.run_later(FAULTS, ["color-contrast"] if scheme == "dark" else RULES)
        found += [f"{path}: {fault}" for fault in faults]
    browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
    browser.complaints()  # the browser itself notes the 404
    assert not found, "\n".join(found)


def test_everything_is_reached_with_the_keyboard(site: Site, browser: Browser) -> None:
    browser.look(1280, 900)
    browser.open(site.url + "/")
    browser.wait_for("The last minute")
    unreachable = browser.run(
        "return [...document.querySelectorAll('a, button, input:not([type=hidden]), canvas, summary')]"
        ".filter(e => e.tabIndex < 0 || (e.tagName === 'A' && !e.href)).map(e => e.outerHTML)"
    )
    assert unreachable == []
    assert HOSTILE[:12] not in browser.run("return document.title")
