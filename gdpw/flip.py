"""The mirror augmentation: a picture and its mesh seen in a mirror.

Convention: pixel edges, as everywhere here (see `gdpw.geometry`). Pixel j of W goes to pixel W - 1 - j, so a point x
goes to W - x in pixels and to -x in NDC: its place in the picture is the same before and after. Published meshes and
pictures are half a pixel apart (parity README, section 12); mirroring keeps that distance, but turns its side.
"""

from __future__ import annotations

import torch
from scipy.spatial import KDTree
from torch import Tensor


def mirror_map(vertices: Tensor) -> Tensor:
    """Which vertex is the mirror image of which, (V,) int64: the nearest one to (-x, y, z).

    vertices: (V, 3), a head at rest, model space (x to the side).
    Raises ValueError if two vertices share their nearest, so that the head is not its own mirror image.
    """
    head = vertices.detach().cpu().double().numpy()
    mirror = torch.from_numpy(KDTree(head).query(head * [-1, 1, 1])[1]).long()
    unpaired = int((mirror[mirror] != torch.arange(len(mirror))).sum())
    if unpaired:
        raise ValueError(f"{unpaired} of {len(mirror)} vertices have no mirror image: the head is not symmetric in x")
    return mirror.to(vertices.device)


def flip_picture(picture: Tensor) -> Tensor:
    """Pictures (..., H, W) mirrored left to right."""
    return picture.flip(-1)


def flip_vertices(vertices: Tensor, mirror: Tensor) -> Tensor:
    """The meshes of the mirrored picture: left vertices take the place of right ones.

    vertices: (..., V, 3) NDC. mirror: (V,) from `mirror_map`. Faces keep their winding.
    """
    return vertices[..., mirror, :] * vertices.new_tensor([-1, 1, 1])
