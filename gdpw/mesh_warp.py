"""`mesh-warp`, the model without weights: the source's picture, bent as its mesh moves.

Every pixel of the driving mesh says where the source shows the same point of the head. That flow is trusted where both
meshes face the viewer, less towards the end of the neck, and not at the border of the picture. From there it is
continued smoothly: hair and outline follow the head, shoulders and border stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gdpw.geometry import ndc_to_pixels
from gdpw.rasterize import Fragments, interpolate, rasterize
from gdpw.smooth_fill import draw_waves, fit_waves

WAVES = 20
"""Waves a side of the continued flow: details down to a twentieth of the picture; finer ones come from the mesh."""

TENSION, STIFFNESS = 2e-5, 2e-7
"""See `fit_waves`. Up to the square root of their ratio, a tenth of the picture, the flow bends; farther it stretches.
"""

FILL_SIZE = 64
"""Cells a side, of which each is one measurement for the waves."""

FINE, COARSE = 128, 64
"""Cells a side for soft masks. Fine: where single faces are not trusted, the inside of a mouth. Coarse: the rim."""

FACING = (0.0, 0.2)
"""Cosine between a face's normal and the line of sight: not trusted, and fully trusted."""

NECK = (0.1, 0.25)
"""Distance from the neck's end as a share of the mesh's size: not trusted, and fully trusted."""

HEAD = (0.15, 0.25)
"""The same distance: where neck and chin end, and where everything is head."""

BORDER = 0.1
"""Share of the picture's side, from the border, in which trust in the mesh rises."""

PIT = (0.06, 0.14)
"""Depth of a pit, 2 being that of the whole head: not one, and surely one, whose walls are not trusted."""

PIT_SIZE = 17
"""Cells of `COARSE` that a pit is narrower than: a mouth, not a cheek."""

STRETCH = (0.9, 0.5)
"""Area of source in a pixel, in pixels, on average over a pit: where it begins to be dark, since what it should show is
hidden in the source, and where it is darkest.
"""

DARKNESS = 0.8
"""Share of the light that the darkest pit loses."""

LEAST_AREA = 0.1
"""Least area of source in a pixel, in pixels: where the mesh would fold the picture more, its details are left out."""

_FRAMES_AT_ONCE = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """What all frames of one source share.

    image: (3, H, W). vertices: (V, 3), NDC. trust: (F,) 0..1, in each face's flow. head: (V, 1) 0..1, of the
    head and not of the neck. still: (1, 1, H, W) 0..1, where shoulders are expected.
    """

    image: Tensor
    vertices: Tensor
    trust: Tensor
    head: Tensor
    still: Tensor


class MeshWarp:
    """Moves pictures by meshes with these faces (F, 3), on the faces' device."""

    def __init__(self, faces: Tensor) -> None:
        self.faces = faces
        self.neck = longest_rim(faces)

    @torch.no_grad()
    def encode(self, image: Tensor, vertices: Tensor) -> Source:
        """A source: picture (3, H, W), 0..1, and its mesh (V, 3), NDC, but z in pixels.

        Raises ValueError if the picture is smaller than 16 pixels.
        """
        height, width = image.shape[-2:]
        if min(height, width) < 16:
            raise ValueError(f"a source needs at least 16 x 16 pixels, got {height} x {width}")
        trust = _rise(self._facing(vertices[None], height, width)[0], *FACING)
        still = image.new_zeros(1, 1, height, width)
        head = torch.ones_like(vertices[:, :1])
        if len(self.neck):
            xy = ndc_to_pixels(vertices, width, height)[:, :2]
            size = (xy.amax(0) - xy.amin(0)).amax()
            end = xy[self.neck]
            to_end = torch.cdist(xy, end).amin(1) / size
            trust = trust * _rise(to_end, *NECK)[self.faces].mean(1)
            head = _rise(to_end, *HEAD)[:, None]
            below = (torch.arange(height, device=xy.device) + 0.5 - end[:, 1].amin()) / size
            still = still + _rise(below, 0, NECK[1])[:, None]
        return Source(image=image, vertices=vertices, trust=trust, head=head, still=still)

    @torch.no_grad()
    def animate(self, source: Source, driving: Tensor) -> Tensor:
        """The source with its mesh moved to `driving` (B, V, 3), NDC, z in pixels: (B, 3, H, W), 0..1."""
        return torch.cat([self._frames(source, some) for some in driving.split(_FRAMES_AT_ONCE)])

    @torch.no_grad()
    def flow(self, source: Source, driving: Tensor) -> Tensor:
        """Where each pixel of the driving pictures is found in the source, less where it is: (B, 2, H, W), NDC."""
        return self._flow_and_light(source, driving)[0]

    def _frames(self, source: Source, driving: Tensor) -> Tensor:
        flow, light = self._flow_and_light(source, driving)
        height, width = flow.shape[-2:]
        x, y = ((torch.arange(size, device=flow.device) + 0.5) * (2 / size) - 1 for size in (width, height))
        grid = flow.permute(0, 2, 3, 1) + torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        image = source.image.expand(len(driving), -1, -1, -1)
        warped = F.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)
        return (warped * light).clamp(0, 1)

    def _flow_and_light(self, source: Source, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Flow (B, 2, H, W) and the share of light that is left (B, 1, H, W)."""
        height, width = source.image.shape[-2:]
        fragments = rasterize(driving, self.faces, height, width)
        attributes = torch.cat([source.vertices[:, :2] - driving[..., :2], source.head.expand(len(driving), -1, 1)], -1)
        known, head = interpolate(fragments, self.faces, attributes).split([2, 1], dim=1)
        trust = source.trust * _rise(self._facing(driving, height, width), *FACING)
        pit = _rise(_pit_depth(fragments), *PIT) * head
        trust = _look_up(fragments, trust) * _border_fade(height, width, trust) * (1 - pit)
        smooth = _continued(known, trust, source.still)
        detail = known - smooth
        covered = (fragments.triangle > 0)[:, None].to(trust.dtype)
        certain = _rise(_soften(trust, FINE), 0.5, 1) * _rise(_soften(covered, COARSE), 0.5, 1)
        area = determinant(smooth + certain * detail)
        certain = certain * (1 - _spread(area < LEAST_AREA, certain))
        return smooth + certain * detail, 1 - DARKNESS * _hidden(pit, area)

    def _facing(self, vertices: Tensor, height: int, width: int) -> Tensor:
        """How much faces are turned to the viewer: (B, F), -1..1."""
        a, b, c = ndc_to_pixels(vertices, width, height)[:, self.faces].unbind(2)
        return -F.normalize(torch.cross(b - a, c - a, dim=-1), dim=-1)[..., 2]


def longest_rim(faces: Tensor) -> Tensor:
    """Vertices (N,) of the longest open border of a mesh (F, 3), a head's neck; none if the mesh is closed."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(1).values
    edges, uses = edges.unique(dim=0, return_counts=True)
    rim = edges[uses == 1].cpu().numpy()
    if not len(rim):
        return faces.new_zeros(0)
    count = int(faces.max()) + 1
    _, label = connected_components(coo_array((np.ones(len(rim)), rim.T), shape=(count, count)), directed=False)
    longest = np.bincount(label[rim[:, 0]]).argmax()
    return torch.from_numpy(np.flatnonzero(label == longest)).to(faces)


def determinant(flow: Tensor) -> Tensor:
    """Area of source that each square between four pixel centres shows, in pixels; negative where it is mirrored.

    flow: (B, 2, H, W), NDC. Returns (B, H - 1, W - 1).
    """
    height, width = flow.shape[-2:]
    pixels = flow * flow.new_tensor([width / 2, height / 2])[:, None, None]
    right_x, right_y = pixels[..., :-1, :].diff(dim=3).unbind(1)
    down_x, down_y = pixels[..., :-1].diff(dim=2).unbind(1)
    return (1 + right_x) * (1 + down_y) - right_y * down_x


def _rise(value: Tensor, start: float, end: float) -> Tensor:
    """From 0 at `start` smoothly to 1 at `end`, which may be the smaller of the two."""
    t = ((value - start) / (end - start)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _look_up(fragments: Fragments, values: Tensor) -> Tensor:
    """The values (B, F) of the faces that pixels see: (B, 1, H, W); 0 where they see none."""
    table = F.pad(values, (1, 0))
    first = torch.arange(len(table), device=table.device)[:, None, None, None] * table.shape[1]
    return table.flatten()[fragments.triangle[:, None] + first]


def _continued(known: Tensor, trust: Tensor, still: Tensor) -> Tensor:
    """The smooth flow (B, 2, H, W) that is near the known one where it is trusted, and near zero where it is still."""
    coarse = F.adaptive_avg_pool2d(torch.cat([known * trust, trust + still * (1 - trust)], dim=1), FILL_SIZE)
    return draw_waves(fit_waves(coarse[:, :2], coarse[:, 2:], WAVES, TENSION, STIFFNESS), *known.shape[-2:])


def _pit_depth(fragments: Fragments) -> Tensor:
    """How far pixels lie behind what surrounds them closely: (B, 1, H, W), 2 being the depth of the whole mesh.

    That is, behind the nearest surface in the squares of `PIT_SIZE` cells around them, in the best of these squares.
    """
    depth = torch.where(fragments.triangle > 0, fragments.depth, 1)[:, None]
    reach = PIT_SIZE // 2
    cells = F.pad(F.adaptive_avg_pool2d(depth, COARSE), (reach,) * 4, value=1)
    for sign in (-1, 1):  # the nearest in each square, then the farthest of the squares that a cell is in
        for kernel in ((PIT_SIZE, 1), (1, PIT_SIZE)):
            cells = sign * F.max_pool2d(sign * cells, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
    return depth - _resize(cells[..., reach:-reach, reach:-reach], depth)


def _hidden(pit: Tensor, area: Tensor) -> Tensor:
    """How dark pits (B, 1, H, W) are, 0..1, by the area of source in their pixels (B, H - 1, W - 1)."""
    shown = torch.cat([pit * _resize(area[:, None], pit), pit], dim=1)
    shown = F.adaptive_avg_pool2d(shown, COARSE)
    for kernel in ((PIT_SIZE, 1), (1, PIT_SIZE)):
        shown = F.avg_pool2d(shown, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
    hidden = _rise(shown[:, :1] / shown[:, 1:].clamp(min=1e-6), *STRETCH)
    return _resize(hidden, pit) * _resize(F.adaptive_avg_pool2d(pit, FINE), pit)


def _border_fade(height: int, width: int, like: Tensor) -> Tensor:
    """(height, width), from 0 at the border of the picture to 1 in its inside."""
    y, x = ((torch.arange(size, device=like.device) + 0.5) / size for size in (height, width))
    return _rise(torch.minimum(y, 1 - y), 0, BORDER)[:, None] * _rise(torch.minimum(x, 1 - x), 0, BORDER)


def _soften(mask: Tensor, cells: int) -> Tensor:
    """Blur (B, 1, H, W) over about two of `cells` cells a side."""
    blur = mask.new_tensor([1, 6, 15, 20, 15, 6, 1]).view(1, 1, 1, 7) / 64
    small = F.conv2d(F.adaptive_avg_pool2d(mask, cells), blur, padding=(0, 3))
    return _resize(F.conv2d(small, blur.mT, padding=(3, 0)), mask)


def _spread(spots: Tensor, like: Tensor) -> Tensor:
    """A mask (B, h, w) grown by a few hundredths of the picture, with soft borders, in the size of another."""
    grown = F.max_pool2d(F.adaptive_max_pool2d(spots[:, None].float(), COARSE), 3, stride=1, padding=1)
    return _resize(F.avg_pool2d(grown, 3, stride=1, padding=1), like)


def _resize(mask: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(mask, like.shape[-2:], mode="bilinear")
