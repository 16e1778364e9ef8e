"""Fields that are known in places, continued smoothly over the whole picture to zero at its border."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_waves(count: int, size: int, device: torch.device | None = None) -> Tensor:
    """The first `count` standing waves between two ends, at the centres of `size` pixels: (size, count)."""
    position = (torch.arange(size, device=device) + 0.5) / size
    return torch.sin(math.pi * position[:, None] * torch.arange(1, count + 1, device=device))


def fit_waves(weighted: Tensor, weight: Tensor, waves: int, tension: float, stiffness: float) -> Tensor:
    """The field that is near the known one, and bends and stretches least.

    Least sum of weight * |u - known|^2 (mean over pixels), tension * |gradient u|^2 and stiffness * |laplacian u|^2
    (mean over the unit square), for u a sum of waves that vanish at the border: smooth everywhere, without kinks where
    the known part ends. Solved directly, by waves^2 equations a batch item.

    weighted: (B, C, H, W), weight * known. weight: (B, 1, H, W), >= 0.
    Returns amplitudes (B, C, waves, waves), for `draw_waves`.
    """
    height, width = weighted.shape[-2:]
    rows, columns = sine_waves(waves, height, weighted.device), sine_waves(waves, width, weighted.device)
    row_pairs = (rows[:, :, None] * rows[:, None, :]).flatten(1) / height
    column_pairs = (columns[:, :, None] * columns[:, None, :]).flatten(1) / width
    known = row_pairs.T @ weight[:, 0] @ column_pairs  # (B, pairs of row waves, pairs of column waves)
    known = known.unflatten(2, (waves, waves)).unflatten(1, (waves, waves)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
    frequency = math.pi * torch.arange(1, waves + 1, device=weighted.device)
    steepness = frequency[:, None] ** 2 + frequency**2
    energy = (tension * steepness + stiffness * steepness**2) / 4  # 1/4: the mean square of a product of two waves
    target = rows.T @ weighted @ columns / (height * width)
    factor = torch.linalg.cholesky(known + torch.diag(energy.flatten()))
    return torch.cholesky_solve(target.flatten(2).mT, factor).mT.unflatten(2, (waves, waves))


def draw_waves(amplitudes: Tensor, height: int, width: int) -> Tensor:
    """Amplitudes (B, C, N, N) -> the field (B, C, height, width)."""
    waves = amplitudes.shape[-1]
    rows, columns = (sine_waves(waves, size, amplitudes.device) for size in (height, width))
    return rows @ amplitudes @ columns.T
