"""DECA's coarse encoder: a face crop -> 236 numbers, and what they mean.

A ResNet-50 without its classifier, then two linear layers. The attribute names are those of the published state dict.
Sources: DECA (SIGGRAPH 2021), reference decalib/models/encoders.py; ResNet (CVPR 2016), with the stride in the 3x3
convolution.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fit_deca.codes import Codes

INPUT_SIZE = 224
"""Side of the encoder's input in pixels."""

PARAMETER_SIZES = {"shape": 100, "texture": 50, "expression": 50, "pose": 6, "camera": 3, "light": 27}
"""What the encoder's output holds, in its order."""

_FEATURES = 2048


class DecaCodes(NamedTuple):
    """What the encoder says about a batch of faces.

    codes: FLAME codes; the eyes, which DECA does not see, look straight ahead.
    texture: (B, 50) coefficients of a texture basis that is not part of this project.
    light: (B, 9, 3) spherical-harmonics light, RGB (`shading.shade`).
    """

    codes: Codes
    texture: Tensor
    light: Tensor


def split_parameters(parameters: Tensor) -> DecaCodes:
    """Name the parts of the encoder's output, (B, 236)."""
    shape, texture, expression, pose, camera, light = parameters.split(list(PARAMETER_SIZES.values()), dim=1)
    codes = Codes(shape, expression, pose, torch.zeros_like(pose), camera)
    return DecaCodes(codes, texture, light.unflatten(1, (9, 3)))


class Bottleneck(nn.Module):
    """Residual block: 1x1 to `width`, 3x3 with the stride, 1x1 to four times `width`; batch norm after each."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if inputs != outputs or stride != 1:
            self.downsample.extend([nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        inner = relu(self.bn1(self.conv1(x)), inplace=True)
        inner = relu(self.bn2(self.conv2(inner)), inplace=True)
        return relu(self.bn3(self.conv3(inner)) + self.downsample(x), inplace=True)


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


class Trunk(nn.Module):
    """ResNet-50 up to its pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, stride=2)
        self.layer4 = _stage(1024, 512, blocks=3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, 2048), pooled in float32 whatever the trunk computes in."""
        x = self.maxpool(relu(self.bn1(self.conv1(images.to(self.conv1.weight.dtype))), inplace=True))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3), dtype=torch.float32)


class Encoder(nn.Module):
    """DECA's `E_flame`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Trunk()
        self.layers = nn.Sequential(
            nn.Linear(_FEATURES, 1024), nn.ReLU(), nn.Linear(1024, sum(PARAMETER_SIZES.values()))
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 224, 224) RGB in 0..1, not normalised any further -> (B, 236) float32 (`split_parameters`)."""
        return self.layers(self.encoder(images))


def fast_encoder(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """A copy for inference: batch norm folded into the convolutions, trunk channels-last and in `dtype`.

    The two linear layers stay in float32. Outputs of about 1 in size are those of `encoder` within 1e-5 for float32,
    4e-3 for float16 and 2e-2 for bfloat16; the last two are for GPUs.
    """
    fast = copy.deepcopy(encoder).eval().requires_grad_(False)
    for module in list(fast.modules()):
        for (conv_name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    fast.encoder.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fast
