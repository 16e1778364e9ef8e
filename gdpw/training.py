"""One optimisation step in the published order, and the state it moves."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gdpw.checkpoint import Checkpoint
from gdpw.config import LossWeights
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.generator import Generator, GeneratorOutput
from gdpw.guidance import Guidance
from gdpw.losses import Comparison, compare, discriminator_terms, generator_terms, weight_penalty
from gdpw.perceptual import Vgg19


@dataclass
class Training:
    """Both players, their optimisers, and the number of steps done."""

    generator: Generator
    discriminator: MultiScaleDiscriminator
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def start(
        cls, generator: Generator, discriminator: MultiScaleDiscriminator, learning_rate: float = 2e-4
    ) -> Training:
        """With the published optimisers: Adam, betas 0.9 and 0.999."""
        adam = torch.optim.Adam
        return cls(
            generator,
            discriminator,
            adam(generator.parameters(), learning_rate),
            adam(discriminator.parameters(), learning_rate),
        )

    def checkpoint(self, face_model: str, name: str = "this training") -> Checkpoint:
        """All that resuming needs. face_model: hash of the one whose meshes it is trained with."""
        return Checkpoint(
            name=name,
            config=self.generator.config,
            generator=self.generator.state_dict(),
            face_model=face_model,
            step=self.step,
            discriminator_config=self.discriminator.config,
            discriminator=self.discriminator.state_dict(),
            training={
                "generator_optimizer": self.generator_optimizer.state_dict(),
                "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            },
        )

    @classmethod
    def resume(cls, checkpoint: Checkpoint, generator: Generator, device: torch.device | str = "cpu") -> Training:
        """Go on from a checkpoint. generator: what its `build_generator` gave.

        A released file has no optimisers: they start afresh. Raises CheckpointError without a discriminator.
        """
        training = cls.start(generator.to(device), checkpoint.build_discriminator().to(device))
        training.step = checkpoint.step
        if checkpoint.training is not None:
            # Copies, since an optimiser goes on in the very tensors it is given.
            state = copy.deepcopy(checkpoint.training)
            training.generator_optimizer.load_state_dict(state["generator_optimizer"])
            training.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        return training


class Batch(NamedTuple):
    """Pairs of pictures of one person, and the maps drawn from their meshes.

    source, target: (B, 3, H, W), 0..1.
    embedding, guidance: maps from `Generator.draw_source` and `draw_guidance`; they carry the gradient to `embeds`.
    """

    source: Tensor
    target: Tensor
    embedding: Tensor | None
    guidance: Guidance


class StepResult(NamedTuple):
    """The loss terms of both players by name, and the pictures they were computed on."""

    terms: dict[str, Tensor]
    output: GeneratorOutput
    comparison: Comparison


def train_step(training: Training, batch: Batch, weights: LossWeights, vgg: Vgg19 | None = None) -> StepResult:
    """One update of the generator, then one of the discriminator. Moves `training`; leaves `batch` alone.

    vgg: without it the loss has no perceptual terms.
    Returns detached terms. Raises FloatingPointError, before the update, if a term is not finite.
    The order of the passes is the published one: each moves batch norm statistics and power iterations.
    Source: GDPW (BMVC 2022), parity README section 7.
    """
    generator, discriminator = training.generator.train(), training.discriminator.train()

    discriminator.requires_grad_(False)
    output = generator(batch.source, batch.embedding, batch.guidance)
    comparison = compare(output, batch.source, batch.target)
    terms = generator_terms(comparison, output.flows, discriminator, vgg, weights)
    if weights.weight_decay:
        terms["weight_decay"] = weights.weight_decay * weight_penalty(generator)
    _update(training.generator_optimizer, terms, training.step)
    discriminator.requires_grad_(True)

    judgement = discriminator_terms(comparison, discriminator, weights)
    _update(training.discriminator_optimizer, judgement, training.step)
    training.step += 1
    return StepResult({name: term.detach() for name, term in (terms | judgement).items()}, output, comparison)


def _update(optimizer: torch.optim.Optimizer, terms: dict[str, Tensor], step: int) -> None:
    total = torch.stack(list(terms.values())).sum()
    if not torch.isfinite(total):
        raise FloatingPointError(f"step {step}: { ({name: term.item() for name, term in terms.items()}) }")
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
