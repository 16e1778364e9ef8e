"""The page of `edit`: sliders in a browser, on a server of this machine that asks nobody else for anything.

- `GET /` the page. `GET /state` everything that it shows.
- `POST /edit` `{"line": ..., "amend": ...}`: a line of edits, or undo, redo, reset. Answers with the state after it,
  and an `error` that says why where the line could not be obeyed.
- `GET /face_edit_output_img.jpg`, `GET /codes.npz`: what is downloaded.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import JSONDecodeError
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeVar

import click
from aiohttp import web

from fit_deca.editing import COEFFICIENT_LIMIT
from jobs.edit_language import change, summary, values
from jobs.outputs import MisuseError
from pipeline.edit_session import EditSession, encode_jpeg
from pipeline.errors import PipelineError

Result = TypeVar("Result")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGE = Path(__file__).with_name("edit_page")

LEADING = 10
"""Coefficients of shape and of expression that have a slider."""

REACH = {"global_pose": 45.0, "jaw_pose": 20.0, "leye_pose": 30.0, "reye_pose": 30.0}
"""Degrees to either side that sliders of angles go."""

ZOOM, SHIFT = 2.0, 0.1
"""How far those of the camera go: times the portrait's scale and a part of it, and metres from the portrait's shift."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'"


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A part of a parameter, the range of its slider, and the portrait's value."""

    name: str
    part: str
    low: float
    high: float
    start: float


def sliders(session: EditSession) -> list[Slider]:
    """What can be slid, each parameter's parts together; a range takes in the portrait's value."""
    found = []
    for (name, part), start in values(session.draw.source.codes).items():
        if name in REACH:
            low, high = -REACH[name], REACH[name]
        elif (name, part) == ("cam", "scale"):
            low, high = start / ZOOM, start * ZOOM
        elif name == "cam":
            low, high = start - SHIFT, start + SHIFT
        elif int(part) < LEADING:
            low, high = -COEFFICIENT_LIMIT, COEFFICIENT_LIMIT
        else:
            continue
        found.append(Slider(name=name, part=part, low=min(low, start), high=max(high, start), start=start))
    return found


class EditPage:
    """The server's side of one session; requests are worked off one after the other, in a thread of their own.

    only_here: whether to refuse requests that name another machine, as pages of others do that found a way here.
    """

    def __init__(self, session: EditSession, *, only_here: bool = True) -> None:
        self.session, self.only_here = session, only_here
        self.sliders = sliders(session)
        self._worker = ThreadPoolExecutor(max_workers=1)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._page),
                web.static("/page", PAGE),
                web.get("/state", self._state),
                web.post("/edit", self._edit),
                web.get("/face_edit_output_img.jpg", self._picture),
                web.get("/codes.npz", self._codes),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.only_here and request.url.host not in LOOPBACK:
            raise web.HTTPForbidden(text="this page is served to its own machine only")
        response = await handler(request)
        response.headers.update({"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _state(self, request: web.Request) -> web.Response:
        state = await self._run(lambda: self._seen("source", "result", "source_mesh", "result_mesh"))
        return web.json_response({**state, "sliders": [asdict(slider) for slider in self.sliders]})

    async def _edit(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send JSON")
        try:
            asked = await request.json()
            line, amend = asked["line"], asked.get("amend", False)
        except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            raise web.HTTPBadRequest(text='send {"line": TEXT, "amend": true or false}') from None
        if not isinstance(line, str) or not isinstance(amend, bool):
            raise web.HTTPBadRequest(text='send {"line": TEXT, "amend": true or false}')
        start = perf_counter()
        state = await self._run(lambda: self.answer(line, amend=amend))
        state["milliseconds"] = (perf_counter() - start) * 1000
        return web.json_response(state)

    def answer(self, line: str, *, amend: bool = False) -> dict[str, Any]:
        """The state after a line, as the page is told it; where it cannot be obeyed, with an `error`."""
        try:
            change(self.session, line, amend=amend)
        except PipelineError as error:
            return {**self._seen(), "error": str(error)}
        return self._seen("result", "result_mesh")

    async def _picture(self, request: web.Request) -> web.Response:
        data = await self._run(lambda: encode_jpeg(self.session.panels().side_by_side()))
        return _download(data, "image/jpeg", "face_edit_output_img.jpg")

    async def _codes(self, request: web.Request) -> web.Response:
        return _download(await self._run(self._saved), "application/octet-stream", "codes.npz")

    def _saved(self) -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "codes.npz"
            self.session.save(path)
            return path.read_bytes()

    def _seen(self, *pictures: str) -> dict[str, Any]:
        """The state as JSON holds it. pictures: names of panels that go with it."""
        session = self.session
        current = values(session.codes)
        panels = session.panels()._asdict() if pictures else {}
        return {
            "values": [current[slider.name, slider.part] for slider in self.sliders],
            "summary": summary(session),
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
            "pictures": {name: base64.b64encode(encode_jpeg(panels[name])).decode() for name in pictures},
        }

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)


def serve(session: EditSession, host: str, port: int) -> None:
    """Serve the page until Ctrl-C, and say where. Raises MisuseError if the address cannot be had."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(EditPage(session, only_here=host in LOOPBACK), host, port))


async def _serve(page: EditPage, host: str, port: int) -> None:
    runner = web.AppRunner(page.app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        name = f"[{host}]" if ":" in host else host
        click.echo(f"http://{name}:{runner.addresses[0][1]}/ (Ctrl-C stops)")
        await asyncio.Event().wait()
    except OSError as error:
        raise MisuseError(
            f"cannot serve at {host}:{port} ({error.strerror}); choose another --host or --port"
        ) from error
    finally:
        await runner.cleanup()


def _download(data: bytes, kind: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=data, content_type=kind, headers=headers)
