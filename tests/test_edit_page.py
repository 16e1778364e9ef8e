"""The page of `edit` in a browser: sliders, undo, downloads, a typed line, and not a word on the console."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from toy_session import SIZE, toy_session

pytest.importorskip("aiohttp", reason="the page needs the extra web")

from aiohttp.test_utils import TestServer
from chromium import Page, find_chromium, open_page

from jobs.edit_web import EditPage
from pipeline.edit_session import EditSession

CHROMIUM = find_chromium()
SHOTS = os.environ.get("GDPW_SCREENSHOTS")
"""A folder, where somebody wants to look at the page."""

STATUS = 'document.getElementById("status").textContent'
UNDO, REDO, PICTURE, CODES = (f'document.getElementById("{name}")' for name in ("undo", "redo", "picture", "codes"))


async def shoot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(Path(SHOTS) / f"{name}.png")


async def wait_for_file(path: Path) -> bytes:
    for _ in range(600):
        if path.is_file():
            return path.read_bytes()
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path} was not downloaded")


async def use(session: EditSession, downloads: Path) -> Page:
    """What a person does: three sliders, undo, redo, a typed line, a bad one, two downloads."""
    assert CHROMIUM
    async with (
        TestServer(EditPage(session).app()) as server,
        open_page(CHROMIUM, str(server.make_url("/")), downloads) as page,
    ):
        await page.wait_for('document.body?.dataset.ready === "yes"')
        assert await page.run(f"{UNDO}.disabled && {REDO}.disabled")
        await shoot(page, "1 opened")
        mesh = 'document.getElementById("result_mesh").src'
        meshes = [await page.run(mesh)]
        for slider, share, words in (
            ("#global_pose-yaw", 0.75, "global_pose yaw"),
            ("#jaw_pose-pitch", 0.9, "jaw_pose pitch"),
            ("#shape-7", 0.8, "shape 7"),
        ):
            await page.drag(slider, share)
            await page.wait_for(f'{STATUS}.includes("{words}")')
            await page.wait_for('document.querySelectorAll(".slider.changed").length > 0')
            await asyncio.sleep(0.3)  # the last of the drag's answers
            meshes.append(await page.run(mesh))
        assert len(set(meshes)) == 4
        await shoot(page, "2 three sliders")
        assert 0.5 < session.codes.shape[0, 7] < 2
        assert len(session._states) == 4, "a drag is one step"
        await page.run(f"{UNDO}.click()")
        await page.wait_for(f'!{STATUS}.includes("shape 7")')
        await page.wait_for(f"{mesh} === {meshes[2]!r}")
        await shoot(page, "3 undone")
        await page.run(f"{REDO}.click()")
        await page.wait_for(f'{STATUS}.includes("shape 7")')
        await page.run('document.getElementById("line").focus()')
        for line in ("exp 3 0.5", "exp 3 9"):
            await page.run('document.getElementById("line").value = ""')
            await page.call("Input.insertText", text=line)
            for kind in ("keyDown", "keyUp"):
                await page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r")
            expected = "lies between -2 and 2" if line.endswith("9") else "exp 3 0.5"
            await page.wait_for(f'{STATUS}.includes("{expected}")')
        await shoot(page, "4 fault")
        await page.run(f"{PICTURE}.click()")
        picture = simplejpeg.decode_jpeg(await wait_for_file(downloads / "face_edit_output_img.jpg"))
        assert picture.shape == (session.draw.source.images.shape[1], picture.shape[0] * 4, 3)
        await page.run(f"{CODES}.click()")
        await wait_for_file(downloads / "codes.npz")
        with np.load(downloads / "codes.npz") as arrays:
            np.testing.assert_array_equal(arrays["codes"], session.codes.flat())
        own = (str(server.make_url("/")), "data:", "about:")
        assert all(address.startswith(own) for address in page.requests), page.requests
        return page


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, and none is on the path")
def test_sliders_undo_lines_and_downloads_in_a_browser(tmp_path: Path) -> None:
    session = toy_session()
    page = asyncio.run(use(session, tmp_path))
    assert page.complaints == []
    assert session.draw.source.images.shape[1] == SIZE
