"""The rasteriser against the published renderer's maps and against nvdiffrast's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_set import PREFIX, read_json, read_npz, u01
from numpy.typing import NDArray
from torch import Tensor

from gdpw.geometry import normalize_depth, turned_away
from gdpw.rasterize import interpolate, rasterize
from gdpw.rasterizer import TorchRasterizer

NVDIFFRAST = read_npz("raster_nvdiffrast")
SIZES = sorted(name.split("/")[0] for name in NVDIFFRAST if name.endswith("/triangle"))
SOURCE = torch.from_numpy(NVDIFFRAST["verts_source"])
DRIVING = torch.from_numpy(NVDIFFRAST["verts_driving"])
FACES = torch.from_numpy(read_npz("standin_head")["f"].astype(np.int64))
CODES = torch.from_numpy(u01(f"{PREFIX}render/embeds", (SOURCE.shape[1], 16)).astype(np.float32))


def stored_step(size: str) -> int:
    """The maps of large pictures are stored at every second pixel."""
    whole, part = NVDIFFRAST[f"{size}/triangle"], NVDIFFRAST[f"{size}/depth"]
    return whole.shape[1] // part.shape[1]


def height_width(size: str) -> tuple[int, int]:
    height, width = map(int, size.split("x"))
    return height, width


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("cull", "name"), [(False, "triangle"), (True, "triangle_culled")])
def test_triangles_are_those_of_nvdiffrast(size: str, cull: bool, name: str) -> None:
    triangle = rasterize(DRIVING, FACES, *height_width(size), cull=cull).triangle
    assert (triangle.numpy() == NVDIFFRAST[f"{size}/{name}"]).mean() >= 0.9995


@pytest.mark.parametrize("size", SIZES)
def test_weights_depth_and_flow_are_those_of_nvdiffrast(size: str) -> None:
    step = stored_step(size)
    fragments = rasterize(DRIVING, FACES, *height_width(size), cull=False)
    culled = rasterize(DRIVING, FACES, *height_width(size))
    flow = interpolate(culled, FACES, (SOURCE - DRIVING)[..., :2]).permute(0, 2, 3, 1)
    for name, cull, actual, tolerance in (
        ("bary", "", fragments.bary, 2.5e-4),  # stored as float16
        ("depth", "", fragments.depth, 5e-6),
        ("flow_interpolated", "_culled", flow, 5e-6),
    ):
        triangle = (culled if cull else fragments).triangle
        same = (triangle.numpy() == NVDIFFRAST[f"{size}/triangle{cull}"])[:, ::step, ::step]
        difference = np.abs(actual[:, ::step, ::step].numpy() - NVDIFFRAST[f"{size}/{name}"].astype(np.float32))
        assert difference[same].max() <= tolerance, name


@pytest.mark.parametrize("size", SIZES)
def test_antialiased_maps_are_those_of_nvdiffrast(size: str) -> None:
    step = stored_step(size)
    draw = TorchRasterizer(FACES)
    attributes = torch.cat([(SOURCE - DRIVING)[..., :2], CODES[:, :4].expand(2, -1, -1)], dim=-1)
    driving = draw(DRIVING, attributes, *height_width(size)).permute(0, 2, 3, 1)
    source = draw(SOURCE, attributes[..., 2:], *height_width(size)).permute(0, 2, 3, 1)
    same = draw.rasterize(DRIVING, *height_width(size)).triangle.numpy() == NVDIFFRAST[f"{size}/triangle_culled"]
    same = same[:, ::step, ::step]
    for name, actual, pixels in (
        ("flow_antialiased", driving[..., :2], same),
        ("codes_antialiased", driving[..., 2:], same),
        ("source_codes_antialiased", source, np.ones_like(same)),
    ):
        difference = np.abs(actual[:, ::step, ::step].numpy() - NVDIFFRAST[f"{size}/{name}"].astype(np.float32))
        assert difference[pixels].max() <= 2e-3, name


@pytest.mark.parametrize("size", [name.split("/")[0] for name in NVDIFFRAST if name.endswith("/grad_embeds")])
def test_the_gradient_to_the_codes_is_that_of_nvdiffrast(size: str) -> None:
    height, width = height_width(size)
    codes = CODES.clone().requires_grad_()
    attributes = torch.cat([(SOURCE - DRIVING)[..., :2], codes.expand(2, -1, -1)], dim=-1)
    maps = TorchRasterizer(FACES)(DRIVING, attributes, height, width).permute(0, 2, 3, 1)
    weights = torch.from_numpy(u01(f"{PREFIX}render/grad", tuple(maps.shape)).astype(np.float32))
    (weights * maps).sum().backward()
    golden = NVDIFFRAST[f"{size}/grad_embeds"]
    assert codes.grad is not None
    wrong = np.abs(codes.grad.numpy() - golden).max(1) > 2e-3
    assert wrong.sum() <= 6  # the corners of the faces in the one pixel that differs, and nothing else
    assert np.abs(golden).max() > 1


# The published renderer, without nvdiffrast's rounding and antialiasing.


def rotation(axis_angle: list[float]) -> NDArray[np.float64]:
    angle = np.linalg.norm(axis_angle)
    x, y, z = np.array(axis_angle) / angle
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def posed(view: str) -> Tensor:
    """The stand-in head as the golden renderer saw it, (1, V, 3)."""
    setting = read_json("renderer")
    vertices = read_npz("standin_head")["v"].astype(np.float64)
    if view == "target":
        vertices = vertices * setting["target_vertex_scale"]
    x, y, z = (vertices @ rotation(setting["axis_angle"][view]).T).T
    scale, shift_x, shift_y = setting["cam_scale_tx_ty"][view]
    image = np.stack([scale * (x + shift_x), -scale * (y + shift_y), -scale * z], axis=-1)
    return torch.from_numpy(image.astype(np.float32))[None]


@pytest.fixture(scope="module")
def renderer() -> dict[str, NDArray[Any]]:
    return read_npz("renderer")


@pytest.mark.parametrize("view", ["source", "target"])
def test_the_published_maps_come_out_without_rounding(renderer: dict[str, NDArray[Any]], view: str) -> None:
    size = read_json("renderer")["size"]
    vertices = posed(view)
    clip = renderer[f"clip_positions_{view}"]
    np.testing.assert_allclose(normalize_depth(vertices)[0, ::37], clip[:, :3], atol=2e-6)

    whole = rasterize(vertices, FACES, size, size, snap=None, cull=False)
    golden = renderer[f"id_before_culling_{view}"]
    same = whole.triangle[0].numpy() == golden
    assert same.mean() >= 0.999  # a few centres lie on shared edges
    values = torch.cat([whole.bary, whole.depth[..., None]], dim=-1)[0].numpy()
    assert np.abs(values - renderer[f"bary01_z_{view}"])[same].max() <= 1e-4

    culled = rasterize(vertices, FACES, size, size, snap=None)
    same = culled.triangle[0].numpy() == renderer[f"id_after_culling_{view}"]
    assert same.mean() >= 0.999
    codes = interpolate(culled, FACES, CODES[None])[0, [0, 5, 15]].permute(1, 2, 0).numpy()
    assert np.abs(codes - renderer[f"codes_{view}_channels_0_5_15"])[same].max() <= 1e-4
    if view == "target":
        flow = interpolate(culled, FACES, (posed("source") - vertices)[..., :2])[0].permute(1, 2, 0).numpy()
        assert np.abs(flow - renderer["flow_d2s"])[same].max() <= 1e-4


@pytest.mark.parametrize("view", ["source", "target"])
def test_the_same_faces_are_turned_away(renderer: dict[str, NDArray[Any]], view: str) -> None:
    golden = np.unpackbits(renderer[f"face_culled_bits_{view}"])[: len(FACES)]
    assert (turned_away(posed(view), FACES)[0].numpy() == golden).mean() >= 0.9999
