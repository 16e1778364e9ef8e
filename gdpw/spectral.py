"""Convolution with spectral normalisation, stored the older PyTorch way.

`torch.nn.utils.parametrizations.spectral_norm` iterates u before v and stores other names, so that released weights
neither load into it nor train on as they were trained.
"""

from __future__ import annotations

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
            return self.weight_orig / self._largest_singular_value()

    def _largest_singular_value(self) -> Tensor:
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=1e-12))
                self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=1e-12))
        # Copies, since a second call before the backward pass of the first moves u and v in place.
        return self.weight_u.clone() @ (matrix @ self.weight_v.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.normalized_weight(), self.bias)
