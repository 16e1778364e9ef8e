"""VGG features, perceptual losses and one whole optimisation step against the published numbers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from golden_generator import picture, recipe_discriminator, recipe_generator, recipe_inputs, recipe_vgg, subsample
from golden_set import PREFIX, assert_golden, read_json, read_npz
from torch import Tensor

from gdpw.antialias import downsample
from gdpw.config import GeneratorConfig, LossWeights
from gdpw.generator import GeneratorOutput
from gdpw.guidance import Guidance
from gdpw.losses import PYRAMID, compare, gram_distances, perceptual_distances
from gdpw.training import Batch, StepResult, Training, train_step

STEPS = {case: golden for case, golden in read_json("train_step").items() if "/" in case}


def stats(x: Tensor) -> list[float]:
    """Mean, mean absolute value, deviation, minimum, maximum, as the set lists them."""
    x = x.detach().double()
    return [float(v) for v in (x.mean(), x.abs().mean(), x.std(), x.min(), x.max())]


def test_vgg_features_equal_the_published_ones() -> None:
    golden = read_json("vgg")
    height, width = golden["image"]["size"]
    features = recipe_vgg()(picture(golden["image"]["name"], 3, height, width))
    for number, (feature, expected) in enumerate(zip(features, golden["blocks"], strict=True)):
        assert list(feature.shape) == expected["shape"]
        assert stats(feature) == pytest.approx(expected["stats"], rel=1e-5)
        assert_golden(feature[0, :6, 1, 2], expected["first_channels_at_1_2"], f"vgg/block{number}")


def test_perceptual_losses_equal_the_published_ones() -> None:
    golden, vgg = read_json("vgg"), recipe_vgg()
    target, image, source = (picture(f"{PREFIX}vgg/{name}", 3, 256, 256) for name in ("gt", "pd", "src"))
    flows = {s: picture(f"{PREFIX}vgg/flow_x{s}", 2, 256 // s, 256 // s, -0.2, 0.2) for s in (16, 8, 4, 2, 1)}
    comparison = compare(GeneratorOutput(image, image, image, image, flows, {}), source, target)

    for stride, (moved, resized) in comparison.warped.items():
        assert stats(moved) == pytest.approx(golden["warped_stats"][f"x{stride}"], rel=1e-5)
        assert stats(resized) == pytest.approx(golden["area_resized_target_stats"][f"x{stride}"], rel=1e-5)
    pyramid = downsample(target, PYRAMID)
    for reduced, expected in zip(pyramid, golden["pyramid_stats"], strict=True):
        assert list(reduced.shape) == expected["shape"]
        assert stats(reduced) == pytest.approx(expected["stats"], rel=1e-5)

    def published(scope: str) -> list[float]:
        return [golden["losses_256"][f"{scope}/block_{n}_vgg_feature_loss"][0] for n in range(5)]

    reconstruction = perceptual_distances(vgg, downsample(image, PYRAMID), pyramid)
    assert (10 * reconstruction).tolist() == pytest.approx(published("recon/rec_dst"), rel=1e-5)
    warped = perceptual_distances(vgg, *zip(*comparison.warped.values(), strict=True))
    assert (10 * warped).tolist() == pytest.approx(published("warp"), rel=1e-5)
    style = gram_distances(vgg(image), vgg(target))
    assert style.tolist() == pytest.approx(golden["style_losses_unweighted_single_scale"], rel=1e-5)


def recipe_batch(config: GeneratorConfig, dtype: torch.dtype) -> Batch:
    """Two samples at 64x64; the maps are constants, so the embeddings learn nothing here."""
    prefix = f"{PREFIX}train"
    samples = [recipe_inputs(config, prefix, 64, 64, number) for number in range(2)]

    def join(maps: Sequence[Tensor | None]) -> Tensor | None:
        present = [m.to(dtype) for m in maps if m is not None]
        return torch.cat(present) if present else None

    target = join([picture(f"{prefix}/img_d/{number}", 3, 64, 64) for number in range(2)])
    guidance = Guidance(*map(join, zip(*(sample.guidance for sample in samples), strict=True)))
    return Batch(join([s.image for s in samples]), target, join([s.embedding for s in samples]), guidance)


class Done(NamedTuple):
    """The recipe's networks after one step, what the step returned, and on which side of zero (1 or 0) each leaky
    ReLU saw its inputs, in order.
    """

    case: str
    golden: dict[str, Any]
    training: Training
    result: StepResult
    sides: list[Tensor]


def step(case: str, dtype: torch.dtype, sides: Sequence[Tensor] | None = None) -> Done:
    """One step of the recipe's networks. sides: those that the leaky ReLUs are to take; None is by their inputs."""
    kind, gan = case.split("/")
    config = GeneratorConfig(guidance=kind)
    generator, discriminator = recipe_generator(config, f"{PREFIX}G/{kind}"), recipe_discriminator()
    training = Training.start(generator.to(dtype), discriminator.to(dtype))
    weights = LossWeights(gan=gan.lower(), flow_consistency=10)
    seen: list[Tensor] = []

    def leaky_relu(x: Tensor, slope: float) -> Tensor:
        seen.append(x.detach() > 0)
        return torch.where(seen[-1] if sides is None else sides[len(seen) - 1], x, slope * x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.functional.leaky_relu_", leaky_relu)
        result = train_step(training, recipe_batch(config, dtype), weights)
    return Done(case, STEPS[case], training, result, seen)


exact_step = functools.lru_cache(maxsize=1)(functools.partial(step, dtype=torch.float64))


@pytest.fixture(
    scope="module",
    params=[(case, dtype) for case in STEPS for dtype in (torch.float64, torch.float32)],
    ids=lambda param: f"{param[0]}-{param[1]}".replace("torch.", ""),
)
def done(request: pytest.FixtureRequest) -> Done:
    """Module-wide, so that pytest runs all tests of one step before it makes the next.

    Rounding alone, down to the number of threads, decides the side of a few inputs of leaky ReLUs that lie within 1e-5
    of zero, and each moves some gradient by up to 1 %. In float32 they take the sides of the exact step.
    """
    case, dtype = request.param
    exact = exact_step(case)
    return exact if dtype == torch.float64 else step(case, dtype, exact.sides)


def relative(found: Any, expected: Any) -> float:
    """The set's measure: difference over max(1e-3, |expected|), the largest."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return float((np.abs(found - expected) / np.maximum(1e-3, np.abs(expected))).max())


def allowed(case: str, what: str, unit: str = "(relative to max(1e-3,|x|))") -> float:
    return max(20 * read_json("tolerances")[f"train_step/{case}/{what} {unit}"], 1e-6)


PUBLISHED_TERMS = {
    "pixel": ["fwd_gen/recon_loss/rec_dst/pix_loss"],
    "feature_matching": ["fwd_gen/recon_loss/rec_dst/feat_match_loss"],
    "adversarial": ["fwd_gen/recon_loss/rec_dst/gan_loss_for_gen"],
    "warp_feature_matching": ["fwd_gen/warp_loss/x1/feat_match_loss"],
    "warp_adversarial": ["fwd_gen/warp_loss/x1/gan_loss_for_gen"],
    "flow_consistency": [f"fwd_gen/warp_loss/x{stride}/scale_flow_loss" for stride in (16, 8, 4, 2)],
    "discriminator": ["discrim/recon/rec_dst/gan_loss_for_discrim"],
    "warp_discriminator": ["discrim/warp/x1/gan_loss_for_discrim"],
}
"""Our terms, which sum over layers and scales what the set lists one by one."""


def test_the_terms_and_pictures_of_a_step_equal_the_published_ones(done: Done) -> None:
    case, golden, arrays = done.case, done.golden, read_npz("train_step")
    terms, output, comparison = done.result
    assert terms.keys() == PUBLISHED_TERMS.keys()
    for name, parts in PUBLISHED_TERMS.items():
        expected = sum(sum(golden["scalars"][part]) for part in parts)
        assert relative(terms[name], expected) <= allowed(case, "scalars"), name
    of_discriminator = sum(terms[name].item() for name in terms if name.endswith("discriminator"))
    of_generator = sum(term.item() for term in terms.values()) - of_discriminator
    assert relative(of_discriminator, golden["d_loss_total"]) <= allowed(case, "d_loss_total")
    assert relative(of_generator, golden["g_loss_total"]) <= allowed(case, "g_loss_total")

    assert_golden(subsample(output.image, 3), arrays[f"{case}/rec_dst"], f"train_step/{case}/rec_dst")
    (finest, _), (coarsest, _) = comparison.warped[1], comparison.warped[16]
    for name, x in {"rec_dst": output.image, "warp_x1": finest, "warp_x16": coarsest}.items():
        assert relative(stats(x), golden["output_stats"][name]) <= allowed(case, "output_stats"), name
    # The set has no tolerance for the warped picture: that of its statistics, times ten for single pixels.
    assert relative(coarsest.detach(), arrays[f"{case}/warp_x16"]) <= 10 * allowed(case, "output_stats")


def test_the_buffers_after_a_step_equal_the_published_ones(done: Done) -> None:
    """Batch norm statistics and power iterations: they tell the number and the order of the passes."""
    case, golden, training = done.case, done.golden, done.training
    for player, network in (("g", training.generator), ("d", training.discriminator)):
        for name, expected in golden[f"{player}_buffers_after"].items():
            buffer = network.get_buffer(name)
            limit = allowed(case, f"{player}_buffers_after")
            assert relative(buffer.flatten()[:6], expected["first"]) <= limit, name
            assert relative(buffer.abs().sum(), expected["abs_sum"]) <= limit, name
    passes = training.discriminator.get_buffer("discs.x1.layers.0.norm.num_batches_tracked")
    assert passes == golden["d_num_batches_tracked_after"]


def assert_gradients_and_updates(done: Done, floor: float = 0.0) -> None:
    """Equal to the published ones within their tolerances, but gradients no closer than `floor`, relative."""
    case, golden, training = done.case, done.golden, done.training
    for player, network in (("g", training.generator), ("d", training.discriminator)):
        for name, expected in golden[f"{player}_grad"].items():
            gradient, first = network.get_parameter(name).grad.double(), np.array(expected["first"])
            norm_limit = max(allowed(case, f"{player}_grad norm", "(relative)"), floor)
            assert gradient.norm().item() == pytest.approx(expected["norm"], rel=norm_limit), name
            entries_limit = allowed(case, f"{player}_grad first entries", "(relative to the largest of them)")
            difference = np.abs(gradient.flatten()[:6].numpy() - first).max() / np.abs(first).max()
            assert difference <= max(entries_limit, floor), name
        for name, expected in golden[f"{player}_params_after"].items():
            weights = network.get_parameter(name).detach().flatten()[:6].numpy()
            assert np.abs(weights - expected).max() <= allowed(case, "params_after", "(absolute)"), name


def test_gradients_and_updates_of_a_step_equal_the_published_ones(done: Done) -> None:
    assert_gradients_and_updates(done)


@pytest.mark.parametrize("case", STEPS)
def test_a_float32_step_left_to_its_own_rounding_stays_within_one_percent(case: str) -> None:
    assert_gradients_and_updates(step(case, torch.float32), floor=0.01)


def test_rounding_decides_the_sides_of_next_to_no_activations(done: Done) -> None:
    exact = exact_step(done.case).sides
    others = sum(int((ours != theirs).sum()) for ours, theirs in zip(done.sides, exact, strict=True))
    assert others <= 1e-5 * sum(side.numel() for side in exact)


def test_only_the_unused_shortcut_and_constant_maps_get_no_gradient(done: Done) -> None:
    """The set leaves the shortcut's weights out, since the published weight decay, times zero, touches them."""
    without = {name for name, parameter in done.training.generator.named_parameters() if parameter.grad is None}
    touched_by_decay = {"shortcut_layers.x32.conv.weight_orig", "shortcut_layers.x32.norm.weight"}
    assert without == set(done.golden["g_params_without_grad"]) | touched_by_decay
