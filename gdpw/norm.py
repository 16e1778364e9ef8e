"""Batch norm whose batch may be spread over several processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdpw.parallel import processes, rank, sum_over_processes
from gdpw.precision import full_precision


class BatchNorm2d(nn.BatchNorm2d):
    """torch's, but for training in several processes: then the statistics are those of all slices together.

    All slices have the same size. Unlike torch's SyncBatchNorm it also works on CPUs and inside `torch.compile`, and
    needs no conversion of the network.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or processes() == 1:
            return super().forward(x)
        own = full_precision(x)
        mean, variance = self._statistics(own)
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale
        if self.affine:
            shift = shift + self.bias
        return (own * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of all slices; the running ones move towards them."""
        variances, means = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        slots = x.new_zeros(processes(), 2, len(means))
        slots[rank()] = torch.stack([means, variances])
        means, variances = sum_over_processes(slots).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)

        with torch.no_grad():
            count = x.numel() // x.shape[1] * processes()
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return mean, variance
