"""Two rasterisers behind one interface: our own, and nvdiffrast on CUDA."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from gdpw.geometry import normalize_depth, turned_away
from gdpw.rasterize import Fragments, interpolate, rasterize
from gdpw.silhouette import antialias, vertices_across

RasterizerName = Literal["torch", "nvdiffrast"]


class Rasterizer(Protocol):
    """Draws meshes that share their faces."""

    def rasterize(self, vertices: Tensor, height: int, width: int) -> Fragments:
        """What pixels see of meshes (B, V, 3), NDC, faces that are turned away being culled."""

    def __call__(self, vertices: Tensor, attributes: Tensor, height: int, width: int) -> Tensor:
        """Maps (B, C, height, width) of attributes (B, V, C), antialiased; 0 where there is nothing.

        The attributes get a gradient, the vertices none.
        """


class TorchRasterizer(nn.Module):
    """Ours, with nvdiffrast's rules: compiled on the CPU, plain torch elsewhere. Nothing of it is saved."""

    faces: Tensor
    across: Tensor

    def __init__(self, faces: Tensor) -> None:
        super().__init__()
        self.register_buffer("faces", faces.int(), persistent=False)
        self.register_buffer("across", vertices_across(faces), persistent=False)

    def rasterize(self, vertices: Tensor, height: int, width: int) -> Fragments:
        return rasterize(vertices, self.faces, height, width)

    def forward(self, vertices: Tensor, attributes: Tensor, height: int, width: int) -> Tensor:
        fragments = self.rasterize(vertices, height, width)
        maps = interpolate(fragments, self.faces, attributes)
        return antialias(maps, fragments, vertices, self.faces, self.across)


class NvdiffRasterizer(nn.Module):
    """nvdiffrast's, for tensors on CUDA. Its licence is non-commercial.

    Raises ImportError where nvdiffrast is not installed. Nothing of it is saved.
    """

    faces: Tensor

    def __init__(self, faces: Tensor) -> None:
        super().__init__()
        _nvdiffrast()
        self.register_buffer("faces", faces.int(), persistent=False)

    @torch.no_grad()
    def rasterize(self, vertices: Tensor, height: int, width: int) -> Fragments:
        drawn = self._draw(_clip_positions(vertices), vertices, height, width)
        return Fragments(triangle=drawn[..., 3].int(), bary=drawn[..., :2], depth=drawn[..., 2])

    def forward(self, vertices: Tensor, attributes: Tensor, height: int, width: int) -> Tensor:
        with torch.no_grad():
            positions = _clip_positions(vertices)
            drawn = self._draw(positions, vertices, height, width)
        maps, _ = _nvdiffrast().interpolate(attributes.float().contiguous(), drawn, self.faces)
        return _nvdiffrast().antialias(maps, drawn, positions, self.faces).permute(0, 3, 1, 2)

    def _draw(self, positions: Tensor, vertices: Tensor, height: int, width: int) -> Tensor:
        """nvdiffrast's (B, H, W, 4): two weights, depth, face + 1; all 0 where culled, after the depth test."""
        drawn, _ = _nvdiffrast().rasterize(_context(vertices.device), positions, self.faces, (height, width))
        shown = ~turned_away(vertices, self.faces)
        mesh = torch.arange(len(vertices), device=vertices.device)[:, None, None]
        return drawn * shown[mesh, (drawn[..., 3].long() - 1).clamp(min=0)][..., None]


def make_rasterizer(name: RasterizerName, faces: Tensor) -> TorchRasterizer | NvdiffRasterizer:
    """The rasteriser of that name. Raises ValueError for another name, ImportError if nvdiffrast is not there."""
    if name not in get_args(RasterizerName):
        raise ValueError(f"rasterizer must be one of {', '.join(get_args(RasterizerName))}, got {name!r}")
    return NvdiffRasterizer(faces) if name == "nvdiffrast" else TorchRasterizer(faces)


def _clip_positions(vertices: Tensor) -> Tensor:
    """(B, V, 4): no perspective, depth -1..1."""
    depth_in_range = normalize_depth(vertices.float())
    return torch.cat([depth_in_range, torch.ones_like(depth_in_range[..., :1])], dim=-1)


def _nvdiffrast() -> ModuleType:
    try:
        import nvdiffrast.torch
    except ImportError as error:
        raise ImportError(
            f"nvdiffrast cannot be imported ({error}): install it with `pip install --no-build-isolation "
            "git+https://github.com/NVlabs/nvdiffrast@v0.4.0`, or take the rasterizer torch"
        ) from error
    return nvdiffrast.torch


@cache
def _context(device: torch.device) -> Any:
    """One a process and device: contexts are large and slow to make."""
    return _nvdiffrast().RasterizeCudaContext(device=device)
