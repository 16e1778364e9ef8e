"""The parity set's networks and their inputs, for every test that needs one (parity README, sections 4, 6, 8)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from golden_set import PREFIX, read_json, read_npz, recipe_state, smooth
from torch import Tensor

from gdpw.config import DiscriminatorConfig, GeneratorConfig
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.generator import Generator
from gdpw.guidance import Guidance
from gdpw.perceptual import Vgg19

KINDS = ("neural_codes", "geom_disp", "both")


class Inputs(NamedTuple):
    """A source picture and the maps that stand for rendered ones: the arguments of `Generator.forward`."""

    image: Tensor
    embedding: Tensor | None
    guidance: Guidance


def faces() -> Tensor:
    """(9976, 3) triangles of the stand-in head."""
    return torch.from_numpy(read_npz("standin_head")["f"])


def config_of(published: dict[str, str | int | float | bool]) -> GeneratorConfig:
    """Settings in the published names -> ours."""
    return GeneratorConfig(
        guidance=published["GUIDANCE"],
        levels=published["NUM_LEVELS"],
        shrink_ratio=published["SHRINK_RATIO"],
        alpha_blend=published["USE_ALPHA_BLEND"],
    )


def recipe_generator(config: GeneratorConfig, prefix: str) -> Generator:
    """A generator with the recipe's weights, in evaluation mode; a few seconds in the released size."""
    generator = Generator(config, faces())
    generator.load_state_dict(recipe_state(prefix, generator.state_dict()))
    return generator.eval()


@lru_cache(maxsize=1)
def released_size(kind: str) -> Generator:
    """The recipe's generator in the released size. Shared: leave it as it is. One is kept, since each has 0.6 GB."""
    return recipe_generator(GeneratorConfig(guidance=kind), f"{PREFIX}G/{kind}")


def head_mask(height: int, width: int) -> Tensor:
    """(H, W): 1 in an ellipse where a head would be, else 0."""
    y = (torch.arange(height)[:, None] + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    return (((x - 0.5) / 0.32) ** 2 + ((y - 0.52) / 0.40) ** 2 < 1).float()


def picture(name: str, channels: int, height: int, width: int, lo: float = 0, hi: float = 1) -> Tensor:
    """A recipe picture as a batch of one."""
    return torch.from_numpy(smooth(name, channels, height, width, lo, hi))[None]


def recipe_inputs(config: GeneratorConfig, prefix: str, height: int, width: int, sample: int = 0) -> Inputs:
    """One sample of inputs; embeddings are None where the guidance has none."""
    mask = head_mask(height, width)
    flow = mask * picture(f"{prefix}/flow/{sample}", 2, height, width, -0.3, 0.3)
    driving, source = (mask * picture(f"{prefix}/tem_{side}/{sample}", 16, height, width) for side in "ds")
    image = picture(f"{prefix}/img_s/{sample}", 3, height, width)
    if config.uses_embedding:
        return Inputs(image, source, Guidance(flow, driving))
    return Inputs(image, None, Guidance(flow, None))


def case_inputs(case: str) -> Inputs:
    """Inputs of a case of `generator_eval`, named `{guidance}/{h}x{w}`."""
    settings = read_json("generator_eval")[case]
    height, width = map(int, case.split("/")[1].split("x"))
    return recipe_inputs(config_of(settings["config"]), settings["input_prefix"], height, width)


def subsample(x: Tensor, step: int) -> np.ndarray:
    """The part of a map that the set stores."""
    return x[:, :, step // 2 :: step, step // 2 :: step].detach().numpy()


def recipe_discriminator() -> MultiScaleDiscriminator:
    """The published discriminator with the recipe's weights, in evaluation mode."""
    discriminator = MultiScaleDiscriminator(DiscriminatorConfig())
    discriminator.load_state_dict(recipe_state(f"{PREFIX}D", discriminator.state_dict()))
    return discriminator.eval()


def recipe_vgg() -> Vgg19:
    """VGG-19 with the recipe's weights."""
    vgg = Vgg19()
    vgg.load_state_dict(recipe_state(f"{PREFIX}vgg19", vgg.state_dict()))
    return vgg
