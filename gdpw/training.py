"""One optimisation step in the published order, and the state it moves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from gdpw.config import LossWeights
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.generator import Generator, GeneratorOutput
from gdpw.guidance import Guidance
from gdpw.losses import Comparison, compare, discriminator_terms, generator_terms, weight_penalty
from gdpw.moving_average import MovingAverage
from gdpw.parallel import GradientAverage, average
from gdpw.perceptual import PerceptualNetwork
from gdpw.replay import Replay
from gdpw.schedule import LearningRate

if TYPE_CHECKING:
    from gdpw.checkpoint import Checkpoint

Precision = Literal["float32", "bfloat16"]

StepExecution = Literal["eager", "compiled"]


@dataclass
class Training:
    """Both players, their optimisers and what they learn by, the generator's average, and the number of steps done."""

    generator: Generator
    discriminator: MultiScaleDiscriminator
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    learning_rate: LearningRate = field(default_factory=LearningRate)
    moving_average: MovingAverage | None = None
    step: int = 0

    @classmethod
    def start(
        cls,
        generator: Generator,
        discriminator: MultiScaleDiscriminator,
        learning_rate: LearningRate | None = None,
        decay: float | None = None,
    ) -> Training:
        """With the published optimisers: Adam, betas 0.9 and 0.999; fused on a GPU.

        decay: of the moving average of the generator; None for no average.
        """
        learning_rate = learning_rate or LearningRate()

        def adam(network: torch.nn.Module) -> torch.optim.Adam:
            parameters = list(network.parameters())
            return torch.optim.Adam(parameters, learning_rate.at(0), fused=parameters[0].is_cuda)

        moving_average = MovingAverage(generator, decay) if decay else None
        return cls(
            generator, discriminator, adam(generator), adam(discriminator), learning_rate, moving_average=moving_average
        )

    def checkpoint(self, face_model: str, name: str = "this training", **more: Any) -> Checkpoint:
        """All that resuming needs. face_model: hash of the one whose meshes it is trained with.

        more: what else to keep with it, numbers, text, tensors and containers of them.
        """
        from gdpw.checkpoint import Checkpoint

        training = {
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "moving_average": self.moving_average and (self.moving_average.state, self.moving_average.steps),
            "rng": torch.get_rng_state(),
        }
        return Checkpoint(
            name=name,
            config=self.generator.config,
            generator=self.generator.state_dict(),
            face_model=face_model,
            step=self.step,
            discriminator_config=self.discriminator.config,
            discriminator=self.discriminator.state_dict(),
            training=training | more,
        )

    def averaged(self, face_model: str) -> Checkpoint:
        """The averaged generator alone, for inference. Raises ValueError where no average is kept."""
        from gdpw.checkpoint import Checkpoint

        if self.moving_average is None:
            raise ValueError("this training keeps no moving average")
        return Checkpoint(
            name="the average",
            config=self.generator.config,
            generator=self.moving_average.state,
            face_model=face_model,
            step=self.step,
        )

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        generator: Generator,
        device: torch.device | str = "cpu",
        learning_rate: LearningRate | None = None,
        decay: float | None = None,
    ) -> Training:
        """Go on from a checkpoint. generator: what its `build_generator` gave. The others: see `start`.

        A released file has no optimisers: they start afresh, as does the average of one that has none. The state of
        torch's random numbers is set to the stored one. Raises CheckpointError without a discriminator.
        """
        training = cls.start(generator.to(device), checkpoint.build_discriminator().to(device), learning_rate, decay)
        training.step = checkpoint.step
        if checkpoint.training is not None:
            _load_optimizer(training.generator_optimizer, checkpoint.training["generator_optimizer"])
            _load_optimizer(training.discriminator_optimizer, checkpoint.training["discriminator_optimizer"])
            if training.moving_average and checkpoint.training["moving_average"]:
                training.moving_average.load(*checkpoint.training["moving_average"])
            torch.set_rng_state(checkpoint.training["rng"])
        return training


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a copy, since an optimiser goes on in the very tensors it is given; fused if it is now, not if it was."""
    state = copy.deepcopy(state)
    for group in state["param_groups"]:
        group["fused"] = optimizer.defaults["fused"]
    optimizer.load_state_dict(state)


class Batch(NamedTuple):
    """Pairs of pictures of one person, and the maps drawn from their meshes.

    source, target: (B, 3, H, W), 0..1.
    embedding, guidance: maps from `Generator.draw_source` and `draw_guidance`; they carry the gradient to `embeds`.
    """

    source: Tensor
    target: Tensor
    embedding: Tensor | None
    guidance: Guidance

    @classmethod
    def draw(
        cls, generator: Generator, source: Tensor, target: Tensor, source_mesh: Tensor, target_mesh: Tensor
    ) -> Batch:
        """From pictures (B, 3, H, W), 0..1, and their meshes (B, V, 3), NDC."""
        height, width = source.shape[-2:]
        embedding = generator.draw_source(source_mesh, height, width)
        return cls(source, target, embedding, generator.draw_guidance(source_mesh, target_mesh, height, width))


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """How a step is computed; what it computes stays the same.

    precision: of features; weights, flows, grids, pictures and losses are float32 in any case.
    execution: as written, or compiled, which takes minutes at the first step.
    graphed: replay the step as a CUDA graph, so that the GPU never waits for Python; for batches of one size, in one
    part.
    channels_last: how features lie in memory.
    """

    precision: Precision = "float32"
    execution: StepExecution = "eager"
    graphed: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        for name, allowed in {"precision": get_args(Precision), "execution": get_args(StepExecution)}.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")


class StepResult(NamedTuple):
    """The loss terms of both players by name, and the pictures they were computed on; all without history.

    Of a step of several batches the terms are their means, the pictures those of the last. What a graphed step returns
    lasts until the next one.
    """

    terms: dict[str, Tensor]
    output: GeneratorOutput
    comparison: Comparison


class TrainStep:
    """One update of the generator, then one of the discriminator.

    The order of the passes is the published one: each moves batch norm statistics and power iterations.
    perceptual: without it the loss has no perceptual terms.
    In several processes (`gdpw.parallel`) each gives its slice of the batch; the update is that of the whole batch.
    Source: GDPW (BMVC 2022), parity README section 7.
    """

    def __init__(
        self,
        training: Training,
        weights: LossWeights,
        perceptual: PerceptualNetwork | None = None,
        config: StepConfig | None = None,
    ) -> None:
        self.training, self.weights, self.config = training, weights, config or StepConfig()
        self._memory_format = torch.channels_last if self.config.channels_last else torch.contiguous_format
        self._perceptual = self._prepared(perceptual)
        generator, discriminator = training.generator, training.discriminator
        self._embeds = [generator.embeds] if generator.config.uses_embedding else []
        own = [p for p in generator.parameters() if all(p is not each for each in self._embeds)]
        self._averages = GradientAverage(own), GradientAverage(discriminator.parameters())
        self._play_generator = self._executed(self._generator_pass)
        self._play_discriminator = self._executed(self._discriminator_pass)
        self._replay = Replay(self._passes_of_maps, [*own, *discriminator.parameters()])

    def __call__(self, *batches: Batch) -> StepResult:
        """Move `training`; leave the batches alone. Several batches accumulate their gradients for one update.

        Raises FloatingPointError, before the update, if a term is not finite. On a GPU, where looking would hold up the
        work, the update is left out instead: whoever fetches the terms looks, see `refuse_non_finite`. Raises
        ValueError for several batches, or another size of picture than before, where the step is graphed.
        """
        training = self.training
        training.generator.train()
        training.discriminator.train()
        training.generator_optimizer.zero_grad()
        training.discriminator_optimizer.zero_grad()
        if self.config.graphed:
            passes = self._replayed_passes(*batches)
        else:
            passes = self._passes([self._laid_out(batch) for batch in batches])
        average([p.grad for p in self._embeds if p.grad is not None])
        self._update(training.generator_optimizer, passes.generator_terms)
        self._update(training.discriminator_optimizer, passes.discriminator_terms)
        training.step += 1
        if training.moving_average:
            training.moving_average.update(training.generator)
        return StepResult(passes.generator_terms | passes.discriminator_terms, passes.output, passes.comparison)

    def _replayed_passes(self, *batches: Batch) -> _Passes:
        if len(batches) > 1:
            raise ValueError("a graphed step has one part: a replay writes over the pictures of the part before")
        (batch,) = batches
        return self._replay(*batch[:3], *batch.guidance)

    def _passes_of_maps(
        self, source: Tensor, target: Tensor, embedding: Tensor | None, flow: Tensor, driving_embedding: Tensor | None
    ) -> _Passes:
        batch = Batch(source, target, embedding, Guidance(flow, driving_embedding))
        return self._passes([self._laid_out(batch)])

    def _passes(self, batches: Sequence[Batch]) -> _Passes:
        """Terms and gradients of both players. Neither moves meanwhile, and the generator's gradients travel between
        processes while the discriminator is at work."""
        of_generator, of_discriminator = self._averages
        generator_terms, discriminator_terms, comparisons = [], [], []
        self.training.discriminator.requires_grad_(False)
        for number, batch in enumerate(batches, 1):
            terms, output, comparison = self._play_generator(batch)
            with of_generator.during_backward() if number == len(batches) else nullcontext():
                generator_terms.append(_backward(terms, len(batches)))
            comparisons.append(comparison)
        self.training.discriminator.requires_grad_(True)
        for number, comparison in enumerate(comparisons, 1):
            terms = self._play_discriminator(comparison)
            with of_discriminator.during_backward() if number == len(batches) else nullcontext():
                discriminator_terms.append(_backward(terms, len(batches)))
        of_generator.wait()
        of_discriminator.wait()
        return _Passes(_means(generator_terms), _means(discriminator_terms), output, comparison)

    def _generator_pass(self, batch: Batch) -> tuple[dict[str, Tensor], GeneratorOutput, Comparison]:
        """The generator's terms, with their history, and the pictures, without."""
        training, weights = self.training, self.weights
        with self._autocast(batch.source):
            output = training.generator(batch.source, batch.embedding, batch.guidance)
            comparison = compare(output, batch.source, batch.target)
            terms = generator_terms(comparison, output.flows, training.discriminator, self._perceptual, weights)
            if weights.weight_decay:
                terms["weight_decay"] = weights.weight_decay * weight_penalty(training.generator)
        return terms, output.detached(), comparison.detached()

    def _discriminator_pass(self, comparison: Comparison) -> dict[str, Tensor]:
        with self._autocast(comparison.target):
            return discriminator_terms(comparison, self.training.discriminator, self.weights)

    def _update(self, optimizer: torch.optim.Optimizer, terms: dict[str, Tensor]) -> None:
        """One step of the optimiser, unless a term is not finite in some process."""
        total = torch.stack(list(terms.values())).sum()
        average([total])
        for group in optimizer.param_groups:
            group["lr"] = self.training.learning_rate.at(self.training.step)
        if optimizer.defaults["fused"]:
            optimizer.grad_scale, optimizer.found_inf = None, (~total.isfinite()).float()  # type: ignore[attr-defined]
        elif not total.isfinite():
            refuse_non_finite(self.training.step, {name: term.item() for name, term in terms.items()})
            raise FloatingPointError(f"step {self.training.step}: a term of another process is not finite")
        optimizer.step()

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _prepared(self, perceptual: PerceptualNetwork | None) -> PerceptualNetwork | None:
        if perceptual is None or self.config.precision == "float32":
            return perceptual
        perceptual = copy.deepcopy(perceptual)
        perceptual.features.to(torch.bfloat16, memory_format=self._memory_format)  # type: ignore[call-overload]
        return perceptual

    def _executed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=False) if self.config.execution == "compiled" else function

    def _laid_out(self, batch: Batch) -> Batch:
        source, target = (x.contiguous(memory_format=self._memory_format) for x in batch[:2])
        return batch._replace(source=source, target=target)


class _Passes(NamedTuple):
    """What the passes of a step leave beside gradients; the terms are means over its batches."""

    generator_terms: dict[str, Tensor]
    discriminator_terms: dict[str, Tensor]
    output: GeneratorOutput
    comparison: Comparison


def _backward(terms: dict[str, Tensor], batches: int) -> dict[str, Tensor]:
    """Add to the gradients. Returns the terms without their history."""
    (torch.stack(list(terms.values())).sum() / batches).backward()
    return {name: term.detach() for name, term in terms.items()}


def _means(terms: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in terms]).mean(0) for name in terms[0]}


def train_step(
    training: Training, batch: Batch, weights: LossWeights, perceptual: PerceptualNetwork | None = None
) -> StepResult:
    """One step as published: float32, as written. See `TrainStep`."""
    return TrainStep(training, weights, perceptual)(batch)


def refuse_non_finite(step: int, terms: Mapping[str, float]) -> None:
    """Raise FloatingPointError, with the step and all terms, if one of them is not finite."""
    if not all(abs(term) < float("inf") for term in terms.values()):
        raise FloatingPointError(f"step {step}: {dict(terms)}")
