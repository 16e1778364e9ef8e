"""Convolution with spectral normalisation, stored the older PyTorch way.

`torch.nn.utils.parametrizations.spectral_norm` iterates u before v and stores other names, so that released weights
neither load into it nor train on as they were trained.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdpw.precision import without_autocast


class SpectralConv2d(nn.Conv2d):
    """A 2-d convolution whose weight is divided by its largest singular value, estimated by power iteration.

    State: `bias`, `weight_orig`, `weight_u` (out,), `weight_v` (in * k * k,). In training each call first iterates
    v = normalise(W^T u), then u = normalise(W v), both constants to the gradient; in evaluation the stored ones serve.
    The bias is outside the normalisation.
    Source: parity README, section 3.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int = 0) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)
        weight = self.weight
        del self.weight
        self.weight_orig = nn.Parameter(weight.detach())
        self.register_buffer("weight_u", F.normalize(torch.randn(out_channels), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(weight[0].numel()), dim=0))

    def normalized_weight(self) -> Tensor:
        """The weight the convolution uses, (out, in, k, k); in training it moves u and v one step.

        In the precision of `weight_orig`, also under autocast.
        """
        with without_autocast(self.weight_orig):
            u, v, largest = self._largest_singular_value()
            return cast(Tensor, _Divided.apply(self.weight_orig, u, v, largest))

    @torch.no_grad()
    def _largest_singular_value(self) -> tuple[Tensor, Tensor, Tensor]:
        """Its vectors u and v, and itself."""
        matrix = self.weight_orig.flatten(1)
        if self.training:
            self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=1e-12))
        image = matrix @ self.weight_v
        if self.training:
            self.weight_u.copy_(F.normalize(image, dim=0, eps=1e-12))
        # Copies, since a second call before the backward pass of the first moves u and v in place.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        return u, v, u @ image

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.normalized_weight(), self.bias)


class _Divided(torch.autograd.Function):
    """weight / sigma, sigma = u^T weight v. Of what autograd would make of it the weight is read and written a third
    as often, which in the released size is gigabytes a step."""

    @staticmethod
    def forward(context: Any, weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
        context.save_for_backward(weight, u, v, sigma)
        return weight / sigma

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        weight, u, v, sigma = context.saved_tensors
        gradient = gradients[0].contiguous()
        share = torch.dot(gradient.flatten(), weight.flatten()) / sigma
        return (gradient - torch.outer(share * u, v).view_as(gradient)) / sigma, None, None, None
