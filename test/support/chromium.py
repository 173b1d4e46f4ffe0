"""Headless Chromium, driven through its DevTools protocol: opens pages, evaluates, notes requests, takes images."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

WAIT_S = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--disable-extensions", "--disable-sync",
)  # fmt: skip


def program() -> str | None:
    """The browser that is installed here."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A page. `requests`: addresses of all requests · `errors`: exceptions, and errors that the browser logs."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._numbers = connection, itertools.count(1)
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            answer = json.loads(self._connection.recv(timeout=WAIT_S))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._note(answer)
        raise AssertionError(f"{method}: no answer")

    def open(self, address: str, width: int = 1400, height: int = 1000) -> None:
        """Open an address in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        self.until(f"location.href.startsWith({address!r}) && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, wait_s: float = WAIT_S) -> Any:
        """Wait until an expression is true; its value."""
        deadline = time.monotonic() + wait_s
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, f"waited in vain for {expression}; {self.errors}"
            time.sleep(0.05)
        return value

    def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, kind: str = "png", **options: Any) -> None:
        """Write an image of the whole page."""
        size = self.value("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": options.pop("scale", 1)}
        taken = self.call(
            "Page.captureScreenshot", format=kind, clip=clip, captureBeyondViewport=True, **options
        )
        path.write_bytes(base64.b64decode(taken["data"]))

    def _note(self, event: dict[str, Any]) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(about["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(about["exceptionDetails"])[:500])
            case "Log.entryAdded" if about["entry"]["level"] == "error":
                self.errors.append(about["entry"]["text"])


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A page of a browser of its own."""
    found = program()
    assert found is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [found, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            port = _port(Path(profile) / "DevToolsActivePort", process)
            with connect(f"ws://127.0.0.1:{port}{_target(port)}", max_size=None, compression=None) as line:
                yield Page(line)
        except ConnectionClosed as closed:
            raise AssertionError(f"the browser has gone: {closed}") from closed
        finally:
            process.terminate()
            try:
                process.communicate(timeout=10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _port(file: Path, process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if file.is_file() and (match := re.match(r"(\d+)\n", file.read_text())):
            return int(match[1])
        time.sleep(0.05)
    raise AssertionError("the browser does not start")


def _target(port: int) -> str:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=WAIT_S) as answer:
            pages = [t for t in json.load(answer) if t["type"] == "page"]
        if pages:
            return "/devtools" + str(pages[0]["webSocketDebuggerUrl"]).partition("/devtools")[2]
        time.sleep(0.05)
    raise AssertionError("the browser has no page")
