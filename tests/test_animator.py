"""Folding and the animator against the generator as it is written."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from golden_generator import KINDS, faces, picture, recipe_generator, recipe_inputs
from golden_set import read_npz
from torch import Tensor, nn

from gdpw.animator import Animator, Execution
from gdpw.blocks import UpBlock
from gdpw.config import GeneratorConfig
from gdpw.folding import fold
from gdpw.generator import Generator
from gdpw.spectral import SpectralConv2d


def small(kind: str = "both", **changes: Any) -> Generator:
    return recipe_generator(GeneratorConfig.small(kind, **changes), "test/animator")


def meshes(count: int) -> Tensor:
    """(count, 5023, 3) stand-in heads in NDC, turned further and further."""
    head = torch.from_numpy(read_npz("standin_head")["v"]).float()
    angle = torch.linspace(0, 0.6, count)
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x, y, z = head.unbind(-1)
    turned = torch.stack([cosine * x + sine * z, (-y).expand(count, -1), sine * x - cosine * z], dim=-1)
    return 5 * turned


@pytest.fixture
def image() -> Tensor:
    return picture("test/animator/image", 3, 48, 64)[0]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folded_generator_makes_the_same_pictures(kind: str, transposed: bool) -> None:
    generator = small(kind)
    inputs = recipe_inputs(generator.config, "test/animator", 32, 48)
    with torch.no_grad():
        plain, folded = generator(*inputs), fold(generator, transposed=transposed)(*inputs)
    torch.testing.assert_close(folded.image, plain.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(folded.flows, plain.flows, rtol=0, atol=1e-6)


def test_folding_leaves_convolutions_only_and_the_original_as_it_was() -> None:
    generator = small()
    before = {key: x.clone() for key, x in generator.state_dict().items() if not key.startswith("downsamples")}
    folded = fold(generator, transposed=True)
    assert not any(isinstance(m, SpectralConv2d | nn.BatchNorm2d | UpBlock) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    assert all(torch.equal(x, generator.state_dict()[key]) for key, x in before.items())
    assert all(p.requires_grad for p in generator.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_animating_equals_the_generator_frame_by_frame(kind: str, image: Tensor) -> None:
    generator = small(kind)
    source, *driving = meshes(4)
    animator = Animator(generator, batch=2)
    frames = animator.animate(animator.encode(image, source), torch.stack(driving))
    assert frames.shape == (3, 3, 48, 64)
    for frame, mesh in zip(frames, driving, strict=True):
        with torch.no_grad():
            embedding = generator.draw_source(source[None], 48, 64)
            guidance = generator.draw_guidance(source[None], mesh[None], 48, 64)
            expected = generator(image[None], embedding, guidance).image[0]
        torch.testing.assert_close(frame, expected, rtol=0, atol=1e-5)


def test_a_source_is_encoded_once(image: Tensor) -> None:
    animator = Animator(small(), batch=2)
    with mock.patch.object(animator.generator, "encode", wraps=animator.generator.encode) as encode:
        source = animator.encode(image, meshes(1)[0])
        animator.animate(source, meshes(5))
        animator.animate(source, meshes(2))
    assert encode.call_count == 1


def test_half_precision_stays_within_a_grey_level_on_average(image: Tensor) -> None:
    """Flows, grids and the source's own colours stay float32."""
    generator, driving = small("geom_disp", alpha_blend=False), meshes(2)
    frames = {}
    for dtype in (torch.float32, torch.bfloat16):
        animator = Animator(generator, dtype=dtype)
        source = animator.encode(image, driving[0])
        assert source.features.bottleneck.dtype == dtype
        assert source.features.image.dtype == torch.float32
        frames[dtype] = animator.animate(source, driving)
        assert frames[dtype].dtype == torch.float32
    assert 0 < (frames[torch.bfloat16] - frames[torch.float32]).abs().mean() < 1 / 255


def test_the_decoder_compiles_into_one_graph_and_pads_the_last_batch(
    image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tracer only; the machine code takes minutes to make and belongs to `benchmarks/generator.py`."""
    trace = torch.compile

    def compile_only_the_trace(function: Any, mode: str, **options: Any) -> Any:
        return trace(function, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", compile_only_the_trace)
    generator, driving = small(alpha_blend=True), meshes(3)
    plain, compiled = Animator(generator), Animator(generator, execution="compiled", batch=2)
    expected = plain.animate(plain.encode(image, driving[0]), driving)
    with mock.patch.object(compiled, "decode", wraps=compiled.decode) as decode:
        frames = compiled.animate(compiled.encode(image, driving[0]), driving)
    assert [len(call.args[1].flow) for call in decode.call_args_list] == [2, 2]
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("execution", ["eager", "compiled", "graphed"])
def test_a_gpu_makes_the_same_pictures_in_every_execution(image: Tensor, execution: Execution) -> None:
    generator, driving = small(), meshes(5)
    pictures = []
    for animator in (Animator(generator), Animator(generator, "cuda", execution=execution, batch=2)):
        source = animator.encode(image, driving[0])
        pictures.append(torch.cat([animator.animate(source, some) for some in driving.split(3)]).cpu())
    torch.testing.assert_close(*pictures, rtol=0, atol=1e-2)  # convolutions in TF32


def test_what_is_drawn_moves_with_the_driving_mesh() -> None:
    """A mesh shifted to the right by 0.2 in NDC: what it covers, but for blended outlines, points 0.2 to the left."""
    generator, (source,) = small(), meshes(1)
    driving = source + torch.tensor([0.2, 0, 0])
    flow, embedding = generator.draw_guidance(source[None], driving[None], 40, 60)
    covered = embedding.abs().sum(1) > 0
    assert 300 < covered.sum() < 1500
    error = (flow[0][:, covered[0]] - torch.tensor([[-0.2], [0.0]])).abs().amax(0)
    assert (error < 1e-5).float().mean() > 0.99
    assert flow[0][:, ~covered[0]].abs().sum() == 0


def test_embeddings_learn_through_the_drawn_maps() -> None:
    generator, mesh = small(), meshes(2)
    embedding = generator.draw_source(mesh[:1], 32, 32)
    guidance = generator.draw_guidance(mesh[:1], mesh[1:], 32, 32)
    assert embedding is not None
    (embedding.sum() + guidance.embedding.sum()).backward()
    assert (generator.embeds.grad.abs().sum(1) > 0).sum() > 300


def test_geom_disp_draws_no_embeddings() -> None:
    generator, mesh = small("geom_disp"), meshes(2)
    assert generator.draw_source(mesh, 32, 32) is None
    assert generator.draw_guidance(mesh, mesh, 32, 32).embedding is None
    assert generator.mesh_renderer.tri.shape == faces().shape
