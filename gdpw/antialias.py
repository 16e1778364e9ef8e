"""Anti-aliased downsampling: a Gaussian blur, then every s-th pixel.

Published as a depth-wise convolution with kernels up to 125x125 whose output is mostly thrown away by the striding.
The kernel is an outer product, so the same map is a pair of small matrices, D_h @ x @ D_w^T, at a hundredth of the
cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gdpw.precision import without_autocast


def blur_kernel(stride: int, device: torch.device | None = None) -> Tensor:
    """The 1-d Gaussian (k,) for downsampling by `stride`, sum 1: sigma = (stride - 1) / 2, k = 2 round(4 sigma) + 1.

    For stride 1 it is NaN, 0/0, as it is in every released state dict (parity README, section 3); nobody uses it.
    """
    sigma = (stride - 1) / 2
    radius = round(4 * sigma)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32, device=device)
    weight = torch.exp(-(offset**2) / (2 * sigma**2)) if stride > 1 else offset / 0
    return weight / weight.sum()


def downsampling_matrix(size: int, stride: int, like: Tensor) -> Tensor:
    """The matrix D, (ceil(size / stride), size), of the type of `like`: output i is the kernel around input i * stride.

    Zero padding, so the rows at the borders sum to less than 1.
    """
    kernel = blur_kernel(stride, like.device)
    centre = torch.arange(0, size, stride, device=like.device)
    tap = torch.arange(size, device=like.device) - centre[:, None] + len(kernel) // 2
    inside = (tap >= 0) & (tap < len(kernel))
    return torch.where(inside, kernel[tap.clamp(0, len(kernel) - 1)], 0).to(like.dtype)


def downsample(picture: Tensor, strides: Sequence[int]) -> list[Tensor]:
    """`picture` reduced by each of `strides`, always in one step from full size.

    picture: (B, C, H, W). The arithmetic is that of its type, also under autocast.
    Returns for each stride (B, C, ceil(H / stride), ceil(W / stride)); for stride 1 `picture` itself.
    Convention: zero padding darkens borders, and output i sits at input i * stride (the corner of its cell, not the
    middle). The released weights were trained so.
    Source: GDPW (BMVC 2022), parity README section 5.
    """
    height, width = picture.shape[-2:]
    rows = {stride: downsampling_matrix(height, stride, picture) for stride in strides if stride > 1}
    if not rows:
        return [picture for _ in strides]
    with without_autocast(picture):
        # Channels last and all strides in one product, so that the picture is read once.
        flat = picture.permute(0, 2, 3, 1).flatten(2)
        short = (
            (torch.cat(list(rows.values())) @ flat).unflatten(2, (width, -1)).split([len(m) for m in rows.values()], 1)
        )
        reduced = {
            stride: (downsampling_matrix(width, stride, picture) @ part).permute(0, 3, 1, 2)
            for stride, part in zip(rows, short, strict=True)
        }
    return [picture if stride == 1 else reduced[stride] for stride in strides]


class ReleasedKernel(nn.Module):
    """Holds the 2-d kernel where released state dicts have it, as `weight` (channels, 1, k, k). Only a place in a file:
    `downsample` computes what it needs.
    """

    weight: Tensor

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        kernel = blur_kernel(stride, torch.device("cpu"))  # real even in an outline on the meta device
        self.register_buffer("weight", torch.outer(kernel, kernel).expand(channels, 1, -1, -1).clone())
