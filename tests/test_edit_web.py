"""The page's server: the state after each line, pictures, downloads; no way in from elsewhere, and no way out."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import simplejpeg
from toy_session import SCALE, SIZE, toy_session

pytest.importorskip("aiohttp", reason="the page needs the extra web")

from aiohttp.test_utils import TestClient, TestServer

from jobs.edit_web import PAGE, EditPage, sliders
from jobs.outputs import MisuseError

Client = TestClient[Any, Any]


def served(talk: Callable[[Client], Awaitable[None]], **options: Any) -> None:
    """Have a talk with a server of a new session."""

    async def run() -> None:
        async with TestClient(TestServer(EditPage(toy_session(), **options).app())) as client:
            await talk(client)

    asyncio.run(run())


async def edit(client: Client, line: Any, **more: Any) -> dict[str, Any]:
    return await (await client.post("/edit", json={"line": line, **more})).json()


def picture(data: str) -> np.ndarray:
    return simplejpeg.decode_jpeg(base64.b64decode(data))


def index_of(name: str, part: str) -> int:
    return [(slider.name, slider.part) for slider in sliders(toy_session())].index((name, part))


def test_the_state_holds_sliders_values_and_four_pictures() -> None:
    async def talk(client: Client) -> None:
        state = await (await client.get("/state")).json()
        assert len(state["sliders"]) == len(state["values"]) == 10 + 10 + 4 * 3 + 3
        assert {tuple(slider) for slider in state["sliders"]} == {("name", "part", "low", "high", "start")}
        assert list(state["pictures"]) == ["source", "result", "source_mesh", "result_mesh"]
        assert all(picture(data).shape == (SIZE, SIZE, 3) for data in state["pictures"].values())
        assert (state["can_undo"], state["can_redo"], state["summary"]) == (False, False, "as in the portrait")

    served(talk)


def test_lines_change_values_and_pictures_and_are_undone() -> None:
    async def talk(client: Client) -> None:
        before = await (await client.get("/state")).json()
        state = await edit(client, "global_pose yaw 30 shape 3 1.5")
        assert state["values"][index_of("global_pose", "yaw")] == pytest.approx(30, abs=1e-4)
        assert state["values"][index_of("shape", "3")] == 1.5
        assert list(state["pictures"]) == ["result", "result_mesh"]
        assert state["pictures"]["result_mesh"] != before["pictures"]["result_mesh"]
        assert state["milliseconds"] > 0
        state = await edit(client, "undo")
        assert (state["can_undo"], state["can_redo"]) == (False, True)
        assert state["values"] == before["values"]
        assert state["pictures"]["result_mesh"] == before["pictures"]["result_mesh"]

    served(talk)


def test_a_slider_on_its_way_is_one_step_to_undo() -> None:
    async def talk(client: Client) -> None:
        await edit(client, "cam scale 0.2")
        await edit(client, "cam tx 1")
        await edit(client, "cam tx 2", amend=True)
        state = await edit(client, "undo")
        assert state["summary"] == "cam scale 0.2"

    served(talk)


@pytest.mark.parametrize("line", ["shape 0 9", "nose 0 1", "undo", "save /tmp/x.npz", "load x.npz", "quit", "show"])
def test_a_line_that_cannot_be_obeyed_is_told_and_changes_nothing(line: str) -> None:
    async def talk(client: Client) -> None:
        state = await edit(client, line)
        assert state["error"]
        assert "\n" not in state["error"]
        assert (state["summary"], state["can_undo"]) == ("as in the portrait", False)

    served(talk)


@pytest.mark.parametrize("body", ["", "no json", "[]", "{}", '{"line": 1}', '{"line": "undo", "amend": 1}', "\xff"])
def test_other_requests_are_refused(body: str) -> None:
    async def talk(client: Client) -> None:
        headers = {"Content-Type": "application/json"}
        assert (await client.post("/edit", data=body.encode("latin1"), headers=headers)).status == 400

    served(talk)


def test_downloads_are_the_picture_and_codes_of_now() -> None:
    async def talk(client: Client) -> None:
        await edit(client, "cam scale 0.3")
        answer = await client.get("/face_edit_output_img.jpg")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="face_edit_output_img.jpg"'
        assert simplejpeg.decode_jpeg(await answer.read()).shape == (SIZE, 4 * SIZE, 3)
        with np.load(io.BytesIO(await (await client.get("/codes.npz")).read())) as arrays:
            assert arrays["codes"].shape == (1, 165)
            assert arrays["codes"][0, -3] == np.float32(0.3)

    served(talk)


def test_forms_of_other_pages_change_nothing() -> None:
    async def talk(client: Client) -> None:
        answer = await client.post("/edit", data='{"line": "cam scale 1"}', headers={"Content-Type": "text/plain"})
        assert answer.status == 415
        state = await (await client.get("/state")).json()
        assert state["values"][index_of("cam", "scale")] == pytest.approx(SCALE)

    served(talk)


@pytest.mark.parametrize(("only_here", "status"), [(True, 403), (False, 200)])
def test_names_of_other_machines_are_refused_on_loopback(only_here: bool, status: int) -> None:
    async def talk(client: Client) -> None:
        assert (await client.get("/state", headers={"Host": "elsewhere.example"})).status == status

    served(talk, only_here=only_here)


def test_the_page_comes_with_its_parts_and_may_ask_nobody_else() -> None:
    async def talk(client: Client) -> None:
        page = await client.get("/")
        text = await page.text()
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        parts = re.findall(r'(?:src|href)="(page/[^"]+)"', text)
        assert len(parts) == 2
        assert all([(await client.get(f"/{part}")).status == 200 for part in parts])

    served(talk)
    for path in PAGE.iterdir():
        assert not re.search(r"https?:|//[a-z]", path.read_text().replace("// ", "")), path


def test_ranges_take_in_the_portraits_own_value() -> None:
    session = toy_session()
    session.draw.source.codes.shape[0, 2] = 3
    (slider,) = [slider for slider in sliders(session) if (slider.name, slider.part) == ("shape", "2")]
    assert (slider.low, slider.high, slider.start) == (-2, 3, 3)


def test_an_address_that_is_taken_is_told_in_one_line() -> None:
    from jobs.edit_web import serve

    async def talk(client: Client) -> None:
        with pytest.raises(MisuseError, match=r"cannot serve at 127\.0\.0\.1"):
            await asyncio.to_thread(serve, toy_session(), "127.0.0.1", client.port)

    served(talk)
