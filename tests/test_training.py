"""The loss terms and the step apart from their golden numbers, in a size that tests can afford."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from golden_generator import faces, picture, recipe_generator, recipe_inputs
from torch import Tensor

from gdpw.checkpoint import export_released, load_checkpoint, save_checkpoint
from gdpw.config import DiscriminatorConfig, GeneratorConfig, LossWeights
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.errors import CheckpointError
from gdpw.guidance import Guidance
from gdpw.losses import discriminator_gan_loss, generator_gan_loss, gram_distances, weight_penalty
from gdpw.perceptual import Vgg19
from gdpw.replay import WARM_UP
from gdpw.schedule import LearningRate
from gdpw.training import Batch, StepConfig, StepResult, Training, TrainStep, refuse_non_finite, train_step

CONFIG = GeneratorConfig.small("geom_disp")


@pytest.fixture
def training() -> Training:
    torch.manual_seed(0)
    return Training.start(recipe_generator(CONFIG, "test/losses"), MultiScaleDiscriminator(DiscriminatorConfig()))


@pytest.fixture
def batch() -> Batch:
    image, _, guidance = recipe_inputs(CONFIG, "test/losses", 32, 48)
    mirrored = Guidance(torch.cat([guidance.flow, guidance.flow.flip(-1)]), None)
    target = picture("test/losses/target", 3, 32, 48)
    return Batch(torch.cat([image, image.flip(-1)]), torch.cat([target, target.flip(-1)]), None, mirrored)


def only(**weights: float) -> LossWeights:
    """Weights of zero but for the named ones."""
    numbers = (field.name for field in fields(LossWeights) if field.name != "gan")
    return LossWeights(**(dict.fromkeys(numbers, 0.0) | weights))


def logits(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_gan_losses_by_hand() -> None:
    real, fake = logits(1, 3), logits(0, -2)
    assert discriminator_gan_loss(real, fake, "ls") == pytest.approx((0 + 4) / 2 + (0 + 4) / 2)
    assert generator_gan_loss(fake, "ls") == pytest.approx((1 + 9) / 2)
    assert discriminator_gan_loss(real, fake, "hinge") == pytest.approx(0 + (1 + 0) / 2)
    assert generator_gan_loss(fake, "hinge") == pytest.approx(1)


def test_gram_matrices_are_divided_by_the_size_of_the_feature() -> None:
    ours, theirs = torch.ones(1, 2, 1, 3), torch.zeros(1, 2, 1, 3)
    assert gram_distances([ours], [theirs]).tolist() == [3 / 6]


def test_a_term_of_weight_zero_is_not_computed(training: Training, batch: Batch) -> None:
    result: StepResult = train_step(training, batch, only(pixel=10, discriminator=1))
    assert result.terms.keys() == {"pixel", "discriminator", "warp_discriminator"}


def test_weight_decay_counts_all_weights_but_no_bias(training: Training, batch: Batch) -> None:
    named = training.generator.named_parameters()
    expected = sum(p.detach().double().square().sum().item() for name, p in named if "bias" not in name)
    assert weight_penalty(training.generator).item() == pytest.approx(expected, rel=1e-5)
    terms = train_step(training, batch, only(pixel=1, weight_decay=0.5, discriminator=1)).terms
    assert terms["weight_decay"].item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_steps_learn(training: Training, batch: Batch) -> None:
    terms = [train_step(training, batch, only(pixel=10, discriminator=1)).terms["pixel"].item() for _ in range(12)]
    assert terms[-1] < 0.95 * terms[0]
    assert training.step == 12


def test_the_generator_gets_no_gradient_from_the_discriminator_step(training: Training, batch: Batch) -> None:
    train_step(training, batch, only(pixel=1, discriminator=0))
    gradients = [p.grad.clone() for p in training.generator.parameters() if p.grad is not None]
    fresh = Training.start(recipe_generator(CONFIG, "test/losses"), training.discriminator)
    train_step(fresh, batch, only(pixel=1, discriminator=1000))
    assert all(map(torch.equal, gradients, [p.grad for p in fresh.generator.parameters() if p.grad is not None]))


def test_a_step_leaves_its_batch_alone(training: Training, batch: Batch) -> None:
    before = batch.source.clone(), batch.target.clone(), batch.guidance.flow.clone()
    train_step(training, batch, LossWeights())
    assert all(map(torch.equal, before, (batch.source, batch.target, batch.guidance.flow)))


def test_a_term_that_is_not_finite_stops_the_step_before_the_update(training: Training, batch: Batch) -> None:
    before = [p.clone() for p in training.generator.parameters()]
    with pytest.raises(FloatingPointError, match=r"step 0: \{'pixel': nan"):
        train_step(training, batch._replace(target=batch.target * float("nan")), only(pixel=1, discriminator=1))
    assert all(map(torch.equal, before, training.generator.parameters()))


def test_several_scales_judge_the_pyramid_and_the_warped_sources(batch: Batch) -> None:
    discriminator = MultiScaleDiscriminator(DiscriminatorConfig(scales=(1, 2), blocks=2))
    training = Training.start(recipe_generator(CONFIG, "test/losses"), discriminator)
    train_step(training, batch, LossWeights())
    passes = [discriminator.get_buffer(f"discs.x{s}.layers.0.norm.num_batches_tracked").item() for s in (1, 2)]
    assert passes == [8, 8]


def test_training_resumes_from_its_checkpoint_as_if_it_had_never_stopped(
    training: Training, batch: Batch, tmp_path: Path
) -> None:
    train_step(training, batch, LossWeights())
    save_checkpoint(tmp_path / "last.pth", training.checkpoint("hash"))
    checkpoint = load_checkpoint(tmp_path / "last.pth")
    resumed = Training.resume(checkpoint, checkpoint.build_generator(faces(), 5023, "hash"))
    for each in (training, resumed):
        train_step(each, batch, LossWeights())
    assert resumed.step == 2
    assert all(map(torch.equal, training.generator.parameters(), resumed.generator.parameters()))
    assert all(map(torch.equal, training.discriminator.parameters(), resumed.discriminator.parameters()))


def test_training_goes_on_from_a_released_file_with_fresh_optimisers(training: Training, tmp_path: Path) -> None:
    export_released(tmp_path / "released.pth", training.checkpoint("hash"))
    checkpoint = load_checkpoint(tmp_path / "released.pth", CONFIG)
    resumed = Training.resume(checkpoint, checkpoint.build_generator(faces(), 5023, "hash"))
    assert not resumed.generator_optimizer.state
    assert all(map(torch.equal, training.discriminator.parameters(), resumed.discriminator.parameters()))


def test_vgg_loads_torchvisions_file_and_refuses_another(tmp_path: Path) -> None:
    state = {key: torch.full_like(x, 0.01) for key, x in Vgg19().state_dict().items()}
    unused = {"features.34.bias": torch.zeros(512), "classifier.0.bias": torch.zeros(4096)}
    torch.save(state | unused, tmp_path / "vgg19.pth")
    features = Vgg19.load(tmp_path / "vgg19.pth")(torch.rand(1, 3, 32, 32))
    assert [feature.shape[1] for feature in features] == [64, 128, 256, 512, 512]
    torch.save(unused, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other.pth: lacks 26 entries, the first is features.0.weight"):
        Vgg19.load(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("change", "message"), [({"pixel": -1}, "pixel"), ({"pixel": float("nan")}, "pixel"), ({"gan": "wgan"}, "gan")]
)
def test_impossible_weights_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossWeights(**change)


def test_impossible_discriminators_are_refused() -> None:
    for change in ({"scales": ()}, {"scales": (3,)}, {"scales": (1, 1)}, {"blocks": 0}):
        with pytest.raises(ValueError, match="must be"):
            DiscriminatorConfig(**change)


def test_the_small_generator_is_small() -> None:
    generator = recipe_generator(GeneratorConfig.small(), "test/small")
    assert generator.mesh_renderer.tri.shape == faces().shape
    assert sum(p.numel() for p in generator.parameters()) < 1e6


def started(seed: int = 0, decay: float | None = None) -> Training:
    torch.manual_seed(seed)
    return Training.start(
        recipe_generator(CONFIG, "test/losses"), MultiScaleDiscriminator(DiscriminatorConfig(blocks=2)), decay=decay
    )


def test_bfloat16_and_channels_last_hardly_change_the_terms(batch: Batch) -> None:
    exact = TrainStep(started(), LossWeights())(batch)
    fast = TrainStep(started(), LossWeights(), config=StepConfig(precision="bfloat16", channels_last=True))(batch)
    for name, term in exact.terms.items():
        assert fast.terms[name].item() == pytest.approx(term.item(), rel=0.03), name
    assert {fast.output.image.dtype, fast.output.flows[1].dtype, fast.terms["pixel"].dtype} == {torch.float32}


def test_equal_batches_accumulate_to_the_step_of_one(batch: Batch) -> None:
    """All but the statistics of the discriminator, which sees each of them."""
    one, two = started(), started()
    weights = only(pixel=10, discriminator=1)
    first = TrainStep(one, weights)(batch).terms
    second = TrainStep(two, weights)(batch, batch).terms
    assert second["pixel"].item() == pytest.approx(first["pixel"].item(), rel=1e-3)
    moved = [p.grad for p in one.generator.parameters() if p.grad is not None]
    again = [p.grad for p in two.generator.parameters() if p.grad is not None]
    norms = [torch.cat([g.flatten() for g in gradients]).norm().item() for gradients in (moved, again)]
    assert norms[1] == pytest.approx(norms[0], rel=0.02)


def test_a_fused_optimiser_leaves_the_update_out_without_being_asked(batch: Batch) -> None:
    training = started()
    for name in ("generator", "discriminator"):
        parameters = getattr(training, name).parameters()
        setattr(training, f"{name}_optimizer", torch.optim.Adam(parameters, 2e-4, fused=True))
    step = TrainStep(training, only(pixel=1, discriminator=1))
    before = [p.clone() for p in training.generator.parameters()]
    result = step(batch._replace(target=batch.target * float("nan")))
    assert all(map(torch.equal, before, training.generator.parameters()))
    with pytest.raises(FloatingPointError, match=r"step 0: \{'pixel': nan"):
        refuse_non_finite(0, {name: term.item() for name, term in result.terms.items()})


def test_the_rate_of_a_step_is_that_of_its_number(batch: Batch) -> None:
    training = started()
    training.learning_rate = LearningRate(base=1e-3, warmup=4)
    step = TrainStep(training, only(pixel=1, discriminator=1))
    rates = []
    for _ in range(2):
        step(batch)
        rates.append(training.generator_optimizer.param_groups[0]["lr"])
    assert rates == [0.25e-3, 0.5e-3]


def test_the_average_and_random_numbers_are_resumed(batch: Batch, tmp_path: Path) -> None:
    training = started(decay=0.9)
    train_step(training, batch, LossWeights())
    save_checkpoint(tmp_path / "last.pth", training.checkpoint("hash"))
    expected = torch.rand(3)
    checkpoint = load_checkpoint(tmp_path / "last.pth")
    resumed = Training.resume(checkpoint, checkpoint.build_generator(faces(), 5023, "hash"), decay=0.9)
    assert torch.equal(torch.rand(3), expected)
    assert resumed.moving_average.steps == 1
    for key, value in training.moving_average.state.items():
        assert torch.equal(resumed.moving_average.state[key], value) or key.startswith("downsamples")


@pytest.mark.gpu
def test_compiled_and_graphed_steps_have_the_terms_of_an_eager_one(batch: Batch) -> None:
    def moved(x: Tensor | None) -> Tensor | None:
        return x if x is None else x.cuda()

    here = Batch(batch.source.cuda(), batch.target.cuda(), None, Guidance(*map(moved, batch.guidance)))
    results = []
    for execution, graphed in (("eager", False), ("eager", True), ("compiled", False), ("compiled", True)):
        torch.manual_seed(0)
        discriminator = MultiScaleDiscriminator(DiscriminatorConfig(blocks=2)).cuda()
        training = Training.start(recipe_generator(CONFIG, "test/losses").cuda(), discriminator)
        step = TrainStep(training, LossWeights(), config=StepConfig(execution=execution, graphed=graphed))
        results.append([{n: t.item() for n, t in step(here).terms.items()} for _ in range(WARM_UP + 3)])
    for other in results[1:]:
        for ours, theirs in zip(other, results[0], strict=True):
            assert ours == pytest.approx(theirs, rel=0.02)
