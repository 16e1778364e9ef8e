"""What a training run does: one configuration, and the presets it starts from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from gdpw.config import DiscriminatorConfig, GeneratorConfig, GuidanceKind, LossWeights
from gdpw.perceptual import PerceptualName
from gdpw.rasterizer import RasterizerName
from gdpw.schedule import LearningRate
from gdpw.training import StepConfig
from pipeline.augment import AugmentConfig
from pipeline.loader import LoaderConfig
from pipeline.stream import StreamConfig

PresetName = Literal["paper", "small", "tiny"]

Reading = Literal["frames", "stream"]
"""How a dataset is read: frame by frame, wherever they lie, or shard by shard from end to end."""


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """After how many steps something is done.

    metrics: terms are fetched and written, and a wish to stop is seen. pictures: a grid is drawn.
    checkpoint: everything is saved.
    """

    metrics: int = 20
    pictures: int = 500
    checkpoint: int = 1000

    def __post_init__(self) -> None:
        for name in ("metrics", "pictures", "checkpoint"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a run. The defaults are the published ones, computed fast.

    steps: of the whole run. perceptual: the network of the perceptual terms. pairs.seed also decides the first weights.
    accumulation: in how many parts each process computes its share of a batch.
    decay: of the generator's moving average; None keeps none.
    keep: how many checkpoints stay.
    reading: `frames` is fair to people, and gives any number of workers the same pairs. `stream` is for stores where
    small reads are slow: every track is as likely as any other, and the pairs are the same again, also after a resume,
    for the same number of workers. stream: how shards become pairs then.
    """

    steps: int = 1_000_000
    perceptual: PerceptualName = "vgg19"
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    learning_rate: LearningRate = field(default_factory=LearningRate)
    pairs: LoaderConfig = field(default_factory=LoaderConfig)
    reading: Reading = "frames"
    stream: StreamConfig = field(default_factory=StreamConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    step: StepConfig = field(
        default_factory=lambda: StepConfig(precision="bfloat16", execution="compiled", channels_last=True)
    )
    accumulation: int = 1
    decay: float | None = 0.999
    rasterizer: RasterizerName = "torch"
    every: Intervals = field(default_factory=Intervals)
    keep: int = 3

    def __post_init__(self) -> None:
        for name in ("steps", "accumulation", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.reading not in get_args(Reading):
            raise ValueError(f"reading must be one of {', '.join(get_args(Reading))}, got {self.reading!r}")
        if self.accumulation > 1 and self.step.graphed:
            raise ValueError("a graphed step has one part: a replay writes over the pictures of the part before")
        if self.decay is not None and not 0 < self.decay < 1:
            raise ValueError(f"decay must lie between 0 and 1, got {self.decay}")

    @classmethod
    def preset(cls, name: PresetName, guidance: GuidanceKind) -> Recipe:
        """paper: as published. small: a small generator at 128x128. tiny: seconds on a CPU, to see that all runs."""
        if name == "paper":
            return cls(generator=GeneratorConfig(guidance=guidance))
        if name == "small":
            return cls(
                steps=100_000,
                perceptual="vgg16-st",
                generator=GeneratorConfig(guidance=guidance, levels=5, shrink_ratio=0.25),
                pairs=LoaderConfig(batch_size=32, size=128),
            )
        return cls(
            steps=50,
            perceptual="none",
            generator=GeneratorConfig(guidance=guidance, levels=3, shrink_ratio=0.125),
            discriminator=DiscriminatorConfig(blocks=2),
            pairs=LoaderConfig(batch_size=4, size=32, workers=1),
            augment=AugmentConfig(flip=0, brightness=0, contrast=0, saturation=0, hue=0),
            step=StepConfig(),
            decay=0.9,
            every=Intervals(metrics=5, pictures=25, checkpoint=10),
        )

    def tree(self) -> dict[str, Any]:
        """The settings by name, as YAML and checkpoints hold them."""
        tree = asdict(self)
        tree["discriminator"]["scales"] = list(self.discriminator.scales)
        return tree
