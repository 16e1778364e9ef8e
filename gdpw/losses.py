"""The loss terms by name; each is a scalar, already weighted, and their sum is the loss. Logging is elsewhere.

Source: GDPW (BMVC 2022), parity README section 7. Sums are not averaged over levels, sizes or layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdpw.antialias import downsample
from gdpw.config import GanLoss, LossWeights
from gdpw.discriminator import MultiScaleDiscriminator, Verdict
from gdpw.generator import GeneratorOutput
from gdpw.perceptual import Vgg19
from gdpw.warp import backward_warp, resize_area

PYRAMID = (1, 2, 4, 8)
"""Strides at which the result is compared with the target by VGG features."""


def discriminator_gan_loss(real: Tensor, fake: Tensor, gan: GanLoss) -> Tensor:
    """What the discriminator minimises, from its logits on real and generated pictures."""
    if gan == "hinge":
        return (F.relu(1 - real) + F.relu(1 + fake)).mean()
    return ((1 - real) ** 2 + fake**2).mean()


def generator_gan_loss(fake: Tensor, gan: GanLoss) -> Tensor:
    """What the generator minimises, from the discriminator's logits on its pictures."""
    return -fake.mean() if gan == "hinge" else ((1 - fake) ** 2).mean()


def feature_distances(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference layer by layer, (L,)."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(ours, theirs, strict=True)])


def gram_distances(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of the Gram matrices, divided by C * H * W, layer by layer, (L,)."""

    def gram(feature: Tensor) -> Tensor:
        flat = feature.flatten(2)
        return flat @ flat.mT / flat[0].numel()

    return feature_distances([gram(f) for f in ours], [gram(f) for f in theirs])


def perceptual_distances(
    vgg: Vgg19, pictures: Sequence[Tensor], targets: Sequence[Tensor], *, style: bool = False
) -> tuple[Tensor, Tensor]:
    """VGG feature and Gram distances of `pictures` to `targets`, pair by pair, summed over the pairs: (5,), (5,).

    The Gram distances are zeros unless `style` asks for them.
    """
    feature_sum, style_sum = pictures[0].new_zeros(2, 5)
    for picture, target in zip(pictures, targets, strict=True):
        ours, theirs = vgg(picture), vgg(target)
        feature_sum = feature_sum + feature_distances(ours, theirs)
        if style:
            style_sum = style_sum + gram_distances(ours, theirs)
    return feature_sum, style_sum


class Comparison(NamedTuple):
    """Generated pictures beside what they should be, (B, 3, H, W) each, 0..1.

    image, target: full size.
    warped: stride -> the source at that size moved by the flow of that size, and the target at that size.
    """

    image: Tensor
    target: Tensor
    warped: dict[int, tuple[Tensor, Tensor]]

    def detached(self) -> Comparison:
        """The same pictures without their history."""
        warped = {stride: (moved.detach(), target) for stride, (moved, target) in self.warped.items()}
        return Comparison(self.image.detach(), self.target, warped)


def compare(output: GeneratorOutput, source: Tensor, target: Tensor) -> Comparison:
    """What the losses look at, from the generator's output and the true pictures (B, 3, H, W)."""
    warped = {}
    for stride, flow in output.flows.items():
        height, width = flow.shape[-2:]
        moved = backward_warp(resize_area(source, height, width), flow)
        warped[stride] = (moved, resize_area(target, height, width))
    return Comparison(output.image, target, warped)


def generator_terms(
    comparison: Comparison,
    flows: dict[int, Tensor],
    discriminator: MultiScaleDiscriminator,
    vgg: Vgg19 | None,
    weights: LossWeights,
) -> dict[str, Tensor]:
    """The generator's loss terms. Without `vgg` there are no perceptual and no style terms, whatever their weights."""
    image, target, warped = comparison
    terms: dict[str, Tensor] = {}
    if weights.pixel:
        terms["pixel"] = weights.pixel * F.l1_loss(image, target)
    if vgg is not None and (weights.perceptual or weights.style):
        moved, resized = zip(*warped.values(), strict=True)
        pyramids = {"": (downsample(image, PYRAMID), downsample(target, PYRAMID)), "warp_": (moved, resized)}
        for prefix, (ours, theirs) in pyramids.items():
            features, style = perceptual_distances(vgg, ours, theirs, style=weights.style > 0)
            terms[f"{prefix}perceptual"] = weights.perceptual * features.sum()
            if weights.style:
                terms[f"{prefix}style"] = weights.style * style.sum()
    if weights.feature_matching or weights.adversarial:
        for prefix, verdicts in _judge(discriminator, comparison).items():
            matching = [feature_distances(real.features, fake.features).sum() for real, fake in verdicts]
            adversarial = [generator_gan_loss(fake.logits, weights.gan) for _, fake in verdicts]
            terms[f"{prefix}feature_matching"] = weights.feature_matching * torch.stack(matching).sum()
            terms[f"{prefix}adversarial"] = weights.adversarial * torch.stack(adversarial).sum()
    if weights.flow_consistency:
        coarser = [flow for stride, flow in flows.items() if stride > 1]
        differences = [F.mse_loss(flow, resize_area(flows[1], *flow.shape[-2:])) for flow in coarser]
        terms["flow_consistency"] = weights.flow_consistency * torch.stack(differences).sum()
    return terms


def discriminator_terms(
    comparison: Comparison, discriminator: MultiScaleDiscriminator, weights: LossWeights
) -> dict[str, Tensor]:
    """The discriminator's loss terms; the generator gets no gradient from them."""
    return {
        f"{prefix}discriminator": weights.discriminator
        * torch.stack([discriminator_gan_loss(real.logits, fake.logits, weights.gan) for real, fake in verdicts]).sum()
        for prefix, verdicts in _judge(discriminator, comparison.detached()).items()
    }


def weight_penalty(generator: nn.Module) -> Tensor:
    """Sum of squares of all parameters with `weight` in their name."""
    return torch.stack([(p**2).sum() for name, p in generator.named_parameters() if "weight" in name]).sum()


def _judge(discriminator: MultiScaleDiscriminator, comparison: Comparison) -> dict[str, list[tuple[Verdict, Verdict]]]:
    """Verdicts on (real, generated), scale by scale, for the result and, prefix `warp_`, the warped source.

    In training mode each pass moves the discriminator's statistics, so the order of the passes is part of the
    published step: target, result, target, warped source.
    """
    result = list(zip(discriminator(comparison.target), discriminator(comparison.image), strict=True))
    pairs = {scale: comparison.warped[scale] for scale in discriminator.config.scales}
    warped = [
        (discriminator.judge(target, scale), discriminator.judge(moved, scale))
        for scale, (moved, target) in pairs.items()
    ]
    return {"": result, "warp_": warped}
