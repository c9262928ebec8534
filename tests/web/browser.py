"""Debian's chromium under selenium: opens pages, changes its size and scheme, and gathers what pages complain of."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, cast

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service

from tests.waiting import wait_until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


class Browser:
    """One window. `complaints` are what the console got since they were last asked for."""

    def __init__(self, driver: Any, pid: int) -> None:
        self.driver = driver
        self.pid = pid

    def quit(self) -> None:
        self.driver.quit()

    def empty(self) -> None:
        self.driver.get("about:blank")
        self.complaints()

    def open(self, url: str) -> None:
        self.driver.get(url)

    def complaints(self, *, but: Sequence[str] = ()) -> list[str]:
        """Console errors and warnings, policy violations among them; without those that contain a word of `but`."""
        lines = [str(entry["message"]) for entry in self.driver.get_log("browser")]
        return [line for line in lines if not any(word in line for word in but)]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def run_later(self, script: str, *arguments: Any) -> Any:
        """A script that calls its last argument when it has finished."""
        return self.driver.execute_async_script(script, *arguments)

    def text(self, selector: str = "main") -> str:
        with contextlib.suppress(StaleElementReferenceException):
            return cast("str", self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))
        return ""

    def wait_for(self, words: str, selector: str = "main", seconds: float = 10.0) -> None:
        wait_until(
            lambda: words in self.text(selector), seconds, f"{words!r} in {selector}: {self.text(selector)[:300]!r}"
        )

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Be a window of this size on a machine of this colour scheme."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def scripts(self, *, allowed: bool) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not allowed})

    def screenshot(self) -> bytes:
        return cast("bytes", self.driver.get_screenshot_as_png())


def start(binary: str, driver: str, profile: str) -> Browser:
    """A fresh browser with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    cast("Any", options).set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(driver)
    chrome: Any = webdriver.Chrome(options=options, service=service)
    return Browser(chrome, cast("Any", service).process.pid)
