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
from gdpw.perceptual import PerceptualNetwork
from gdpw.precision import full_precision, full_type, without_autocast
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
    """Mean absolute difference layer by layer, (L,); of half precision the differences are, the sums are not."""
    means = [(a - b).abs().mean(dtype=full_type(a)) for a, b in zip(ours, theirs, strict=True)]
    return torch.stack(means)


def gram_distances(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of the Gram matrices, divided by C * H * W, layer by layer, (L,)."""

    def gram(feature: Tensor) -> Tensor:
        flat = full_precision(feature).flatten(2)
        with without_autocast(flat):
            return flat @ flat.mT / flat[0].numel()

    return feature_distances([gram(f) for f in ours], [gram(f) for f in theirs])


def features_of(network: PerceptualNetwork, pictures: Sequence[Tensor]) -> list[list[Tensor]]:
    """Features of pictures (B, 3, h, w), all of one batch size; those of one height and width go in one pass."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for number, picture in enumerate(pictures):
        by_size.setdefault((picture.shape[-2], picture.shape[-1]), []).append(number)
    found: dict[int, list[Tensor]] = {}
    for numbers in by_size.values():
        features = network(torch.cat([pictures[number] for number in numbers]))
        apart = zip(*(feature.chunk(len(numbers)) for feature in features), strict=True)
        found |= dict(zip(numbers, map(list, apart), strict=True))
    return [found[number] for number in range(len(pictures))]


def perceptual_distances(network: PerceptualNetwork, pictures: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Sum over the pairs of picture and target, all of one batch size, of their feature distances, (5,)."""
    pairs = zip(features_of(network, pictures), features_of(network, targets), strict=True)
    return _summed([feature_distances(ours, theirs) for ours, theirs in pairs])


def _summed(distances: Sequence[Tensor]) -> Tensor:
    """Sum (L,) of distances (l,) each, l <= L, the missing ones being zero."""
    length = max(len(each) for each in distances)
    return torch.stack([F.pad(each, (0, length - len(each))) for each in distances]).sum(0)


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
    network: PerceptualNetwork | None,
    weights: LossWeights,
) -> dict[str, Tensor]:
    """The generator's loss terms. Without `network` none are perceptual or of style, whatever their weights."""
    image, target, _ = comparison
    terms: dict[str, Tensor] = {}
    if weights.pixel:
        terms["pixel"] = weights.pixel * F.l1_loss(image, target)
    if network is not None and (weights.perceptual or weights.style):
        terms |= _perceptual_terms(comparison, network, weights)
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


def _perceptual_terms(comparison: Comparison, network: PerceptualNetwork, weights: LossWeights) -> dict[str, Tensor]:
    """Of the result at the sizes of `PYRAMID`, and, prefix `warp_`, of the warped sources."""
    image, target, warped = comparison
    ours = features_of(network, [*downsample(image, PYRAMID), *(moved for moved, _ in warped.values())])
    with torch.no_grad():
        reduced = [resized for stride, (_, resized) in warped.items() if stride > 1]
        theirs = features_of(network, [*downsample(target, PYRAMID), *reduced])
    theirs.append(theirs[0])  # the finest warped picture, the last one, and the result have the same target
    pairs = list(zip(ours, theirs, strict=True))
    terms = {}
    for prefix, part in {"": pairs[: len(PYRAMID)], "warp_": pairs[len(PYRAMID) :]}.items():
        terms[f"{prefix}perceptual"] = weights.perceptual * _summed([feature_distances(*pair) for pair in part]).sum()
        if weights.style:
            terms[f"{prefix}style"] = weights.style * _summed([gram_distances(*pair) for pair in part]).sum()
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
