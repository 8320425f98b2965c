"""A real browser, driven over the websocket of its developer tools."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """Path of a browser of the Chromium family; None: there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A headless browser with one page; use as a context manager."""

    def __init__(self, width: int = 1280, height: int = 800, wait: float = 90.0) -> None:
        self.wait_s = wait
        self.console: list[str] = []
        self.responses: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self._answers: dict[int, Any] = {}
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [
            str(executable()), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0",
            f"--user-data-dir={self._folder.name}", f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._loop.run_until_complete(self._connect())
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
            self.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> None:
        from tornado.httpclient import AsyncHTTPClient
        from tornado.websocket import websocket_connect

        place = Path(self._folder.name) / "DevToolsActivePort"
        end = time.monotonic() + self.wait_s
        while not (place.is_file() and len(place.read_text().split()) >= 2):
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError("the browser did not start")
            await asyncio.sleep(0.05)
        port = place.read_text().split()[0]
        listed = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json/list", request_timeout=self.wait_s)
        page = next(one for one in json.loads(listed.body) if one["type"] == "page")
        self._wire = await websocket_connect(page["webSocketDebuggerUrl"], max_message_size=1 << 28)

    async def _disconnect(self) -> None:
        self._wire.close()  # needs the loop that runs

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the developer tools."""
        return self._loop.run_until_complete(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        number = self._number
        await self._wire.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while number not in self._answers:
            text = await asyncio.wait_for(self._wire.read_message(), self.wait_s)
            assert text is not None, "the browser has gone"
            self._hear(json.loads(text))
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        found = message["params"]
        if message["method"] == "Runtime.exceptionThrown":
            self.console.append(json.dumps(found["exceptionDetails"])[:800])
        elif message["method"] == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning", "assert"):
            self.console.append(json.dumps(found["args"])[:800])
        elif message["method"] == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.console.append(found["entry"]["text"])
        elif message["method"] == "Network.requestWillBeSent":
            self.responses.append(found["request"]["url"])

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true; its value."""
        end = time.monotonic() + self.wait_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            self._loop.run_until_complete(asyncio.sleep(0.03))
        return value

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event: mousePressed, mouseMoved, mouseReleased, mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 4, **more: Any) -> None:
        """Press, move and release."""
        self.mouse("mousePressed", *start, button="left", clickCount=1, **more)
        for i in range(1, steps + 1):
            self.mouse("mouseMoved", start[0] + (end[0] - start[0]) * i / steps, start[1] + (end[1] - start[1]) * i / steps,
                       button="left", buttons=1, **more)  # fmt: skip
        self.mouse("mouseReleased", *end, button="left", clickCount=1, **more)

    def key(self, key: str, modifiers: int = 0) -> None:
        """A key, pressed and released."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and not modifiers and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, **text)

    def screenshot(self, path: str | Path) -> None:
        """The page as PNG."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the browser."""
        if hasattr(self, "_wire"):
            self._loop.run_until_complete(self._disconnect())
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        self._folder.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
