"""Where half precision ends, and how tensors lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """`x` as float32, or as float64 if it is that already: half precision is too coarse for flows and pictures."""
    return x.to(full_type(x))


def full_type(x: Tensor) -> torch.dtype:
    """That of `full_precision(x)`."""
    return torch.promote_types(x.dtype, torch.float32)


def without_autocast(x: Tensor) -> torch.autocast:
    """A block in which operations on the device of `x` keep the types of what they are given."""
    return torch.autocast(x.device.type, enabled=False)


def memory_format(x: Tensor) -> torch.memory_format:
    """Channels last if `x` (B, C, H, W) lies so."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format
