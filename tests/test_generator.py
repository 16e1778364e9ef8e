"""What the generator does apart from its numbers, in a size that tests can afford."""

from __future__ import annotations

import pytest
import torch
from golden_generator import KINDS, Inputs, faces, recipe_generator, recipe_inputs

from gdpw.antialias import downsample
from gdpw.config import GeneratorConfig
from gdpw.generator import Generator
from gdpw.guidance import Guidance


def small(kind: str = "both", **changes: object) -> Generator:
    return recipe_generator(GeneratorConfig.small(kind, **changes), "test/small")


def inputs(generator: Generator, height: int = 32, width: int = 48, sample: int = 0) -> Inputs:
    return recipe_inputs(generator.config, "test/in", height, width, sample)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_is_encoded_once_for_many_driving_maps(kind: str) -> None:
    generator = small(kind)
    image, embedding, first = inputs(generator)
    second = inputs(generator, sample=1).guidance
    both = Guidance(*(None if a is None else torch.cat([a, b]) for a, b in zip(first, second, strict=True)))
    with torch.no_grad():
        batch = generator.decode(generator.encode(image, embedding), both).image
        single = [generator(image, embedding, guidance).image for guidance in (first, second)]
    torch.testing.assert_close(batch, torch.cat(single))


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (16, 64)])
def test_pictures_need_not_be_square(size: tuple[int, int]) -> None:
    generator = small()
    with torch.no_grad():
        output = generator(*inputs(generator, *size))
    assert output.image.shape == (1, 3, *size)
    assert {stride: flow.shape[-2:] for stride, flow in output.flows.items()} == {
        stride: (size[0] // stride, size[1] // stride) for stride in (4, 2, 1)
    }


@pytest.mark.parametrize("size", [(36, 48), (8, 48)])
def test_a_size_that_the_levels_cannot_halve_is_refused(size: tuple[int, int]) -> None:
    generator = small()
    with pytest.raises(ValueError, match="multiples of 8"):
        generator(*inputs(generator, *size))


def test_the_shortcut_of_the_coarsest_level_is_unused() -> None:
    generator = small()
    before = generator(*inputs(generator)).image
    before.sum().backward()
    coarsest = generator.shortcut_layers["x8"]
    assert all(weight.grad is None for weight in coarsest.parameters())
    assert all(weight.grad is not None for weight in generator.shortcut_layers["x4"].parameters())


def test_neural_codes_displace_the_bottleneck_by_nothing() -> None:
    generator = small("neural_codes")
    image, embedding, guidance = inputs(generator)
    with torch.no_grad():
        output = generator(image, embedding, guidance)
        unmoved = generator(image, embedding, guidance._replace(flow=torch.zeros_like(guidance.flow)))
    assert all(output.mesh_flows[stride].abs().sum() == 0 for stride in (2, 4, 8))
    assert torch.equal(output.mesh_flows[1], guidance.flow)
    assert torch.equal(output.image, unmoved.image)


def test_every_level_predicts_its_flow_afresh() -> None:
    """A level's flow is its own head's output: the flow of a coarser level moves features, it is not added."""
    generator = small()
    with torch.no_grad():
        for stride in (8, 4):
            generator.up_layers[f"x{stride}_flow"].bias += 100
        generator.up_layers["x2_flow"].weight.zero_()
        flow = generator(*inputs(generator)).flows[1]
    bias = generator.up_layers["x2_flow"].bias * 2 / torch.tensor([47, 31])
    torch.testing.assert_close(flow, bias[None, :, None, None].expand_as(flow))


def test_the_modulation_is_the_embedding_before_the_flow() -> None:
    generator = small()
    guidance = inputs(generator).guidance
    modulation, mesh_flows = generator._modulate(guidance)
    assert modulation.keys() == {2, 4, 8}
    (embedding,) = downsample(guidance.embedding, [4])
    assert torch.equal(modulation[4], torch.cat([embedding, mesh_flows[4]], dim=1))


def test_any_vertex_count_makes_a_generator() -> None:
    generator = Generator(GeneratorConfig.small(vertices=12), faces()[:4])
    assert generator.embeds.shape == (12, 16)
    assert generator.mesh_renderer.tri.shape == (4, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"guidance": "flow"}, "guidance"), ({"levels": 1}, "levels"), ({"shrink_ratio": 0}, "shrink_ratio")],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneratorConfig(**change)
