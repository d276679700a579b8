"""A headless Chromium spoken to through a pipe, in as much of its DevTools protocol as the page's tests need."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60.0  # a machine with other work takes its time


def find_chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab. Use as a context manager.

    ``events`` holds every message that was no answer: requests, console lines, exceptions.
    """

    def __init__(self, path: str) -> None:
        self.home = tempfile.mkdtemp(prefix="rlsched-browser-")
        theirs_in, self._write = os.pipe()
        self._read, theirs_out = os.pipe()

        def wire() -> None:  # Chromium reads descriptor 3 and writes descriptor 4
            spare = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        self.process = subprocess.Popen(
            [
                path, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
                f"--user-data-dir={self.home}", "about:blank",
            ],
            preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.events: list[dict[str, Any]] = []
        self._left = b""
        self._id = 0
        self._session = ""
        target = self._tab()
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _tab(self) -> str:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            pages = [one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page"]
            if pages:
                return str(pages[0]["targetId"])
        raise TimeoutError("Chromium opened no page")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self.home, ignore_errors=True)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its answer."""
        self._id += 1
        message: dict[str, Any] = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._id:
                assert "error" not in got, got["error"]
                return got["result"]
            self.events.append(got)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], PATIENCE_S)
            if not ready:
                raise TimeoutError("Chromium does not answer")
            self._left += os.read(self._read, 1 << 20)
        line, _, self._left = self._left.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def open(self, page: Path, width: int, *, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """Load a file in a window of that width and wait until it has loaded."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.ask("Page.navigate", url=page.resolve().as_uri())
        until = time.monotonic() + PATIENCE_S
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            assert time.monotonic() < until, "the page did not load"
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of an expression."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, as the keyboard would."""
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35}
        text = {"text": "\r"} if key == "Enter" else {}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], **text}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **about)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def shot(self, file: Path) -> None:
        """A picture of the whole page."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16_000), "scale": 1}
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(found["data"]))

    def pdf(self) -> bytes:
        """The page as it prints."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])
