"""A headless Chromium, driven through its DevTools protocol; nothing is installed for it but Chromium itself."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab. complaints: what its console was told as an error, what failed to load, what was thrown.

    requests: the addresses that it asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._answers.pop(event["id"]).set_result(event)
                continue
            match event["method"], event["params"]:
                case "Runtime.exceptionThrown", about:
                    self.complaints.append(str(about["exceptionDetails"]))
                case "Runtime.consoleAPICalled", {"type": "error" | "assert" | "warning"} as about:
                    self.complaints.append(str(about["args"]))
                case "Log.entryAdded", {"entry": {"level": "error" | "warning"} as entry}:
                    self.complaints.append(str(entry))
                case "Network.requestWillBeSent", about:
                    self.requests.append(about["request"]["url"])

    async def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        event = await asyncio.wait_for(answer, 60)
        assert "error" not in event, event
        return event["result"]

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, condition: str) -> None:
        for _ in range(1200):
            if await self.run(condition):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never came true: {condition}")

    async def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))

    async def drag(self, selector: str, share: float) -> None:
        """Drag the thumb of a range from where it is to a share of its width, in steps, with the mouse."""
        script = f"""(() => {{
            const slider = document.querySelector({selector!r});
            slider.scrollIntoView({{ block: "center" }});
            const box = slider.getBoundingClientRect();
            const at = (slider.valueAsNumber - slider.min) / (slider.max - slider.min);
            return [box.left, box.width, box.top + box.height / 2, at];
        }})()"""
        left, width, y, start = await self.run(script)
        thumb = 16  # the thumb's middle stays half its width away from either end

        async def mouse(kind: str, share: float) -> None:
            x = left + thumb / 2 + share * (width - thumb)
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

        await mouse("mousePressed", start)
        for step in range(1, 6):
            await mouse("mouseMoved", start + (share - start) * step / 5)
        await mouse("mouseReleased", share)


@asynccontextmanager
async def open_page(program: str, address: str, downloads: Path) -> AsyncIterator[Page]:
    """A tab 1280 x 1000 at that address, of a browser of its own. downloads: the folder for files."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
        browser = await asyncio.create_subprocess_exec(
            *(program, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1280,1000"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as http:
                async with http.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                    target = await answer.json()
                async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.call(f"{domain}.enable")
                    await page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
                    await page.call("Page.navigate", url=address)
                    yield page
                    listening.cancel()
        finally:
            browser.terminate()
            await browser.wait()


async def _port(file: Path) -> int:
    for _ in range(1200):
        if file.is_file() and (text := file.read_text()):
            return int(text.splitlines()[0])
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not open its port")
