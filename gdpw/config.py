"""Settings of the networks and of their training: frozen, and checked when made."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

GuidanceKind = Literal["neural_codes", "geom_disp", "both"]
"""What the mesh tells the generator: per-vertex embeddings, the flow, or both."""

GanLoss = Literal["ls", "hinge"]

EMBEDDING_SIZE = 16
"""Length of the learned vector of each vertex."""

FLOW_SIZE = 2


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Size and guidance of a generator. The defaults are those of the released `PWM_neural_codes.pth`.

    guidance: see `GuidanceKind`.
    levels: resolutions, each half of the one before; the coarsest has stride 2 ** (levels - 1).
    shrink_ratio: scales the channel counts, see `width`.
    alpha_blend: blend the painted picture with the warped source instead of showing it alone.
    vertices: vertex count of the face model whose meshes guide the generator.
    """

    guidance: GuidanceKind = "neural_codes"
    levels: int = 6
    shrink_ratio: float = 0.5
    alpha_blend: bool = False
    vertices: int = 5023

    def __post_init__(self) -> None:
        if self.guidance not in get_args(GuidanceKind):
            raise ValueError(f"guidance must be one of {', '.join(get_args(GuidanceKind))}, got {self.guidance!r}")
        if self.levels < 2:
            raise ValueError(f"levels must be >= 2, got {self.levels}")
        if not 0 < self.shrink_ratio <= 1:
            raise ValueError(f"shrink_ratio must be in (0, 1], got {self.shrink_ratio}")
        if self.vertices < 3:
            raise ValueError(f"vertices must be >= 3, got {self.vertices}")

    @classmethod
    def small(cls, guidance: GuidanceKind = "both", **changes: Any) -> GeneratorConfig:
        """A narrow, shallow generator (0.5 million weights instead of 141) for tests and first tries."""
        return cls(**{"guidance": guidance, "levels": 4, "shrink_ratio": 0.125} | changes)

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the levels, fine to coarse: 1, 2, 4, ..."""
        return tuple(2**level for level in range(self.levels))

    @property
    def uses_embedding(self) -> bool:
        return self.guidance in ("neural_codes", "both")

    @property
    def uses_flow(self) -> bool:
        """Whether the flow modulates the decoder and displaces the bottleneck. It is rendered in any case."""
        return self.guidance in ("geom_disp", "both")

    @property
    def modulation_channels(self) -> int:
        return self.uses_embedding * EMBEDDING_SIZE + self.uses_flow * FLOW_SIZE

    def width(self, stride: int) -> int:
        """Channels at `stride`: 32, 64, ... 1024 in the released size."""
        return min(1024, max(int(64 * self.shrink_ratio * stride), 16))


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Size of a multi-scale patch discriminator. The defaults are the published ones.

    scales: strides of the picture pyramid, one discriminator each.
    blocks: convolution blocks, each halving the picture.
    """

    scales: tuple[int, ...] = (1,)
    blocks: int = 4

    def __post_init__(self) -> None:
        allowed = (1, 2, 4, 8, 16)
        if not self.scales or len(set(self.scales)) < len(self.scales) or not set(self.scales) <= set(allowed):
            raise ValueError(f"scales must be different strides out of {allowed}, got {self.scales}")
        if self.blocks < 1:
            raise ValueError(f"blocks must be >= 1, got {self.blocks}")

    def width(self, block: int) -> int:
        """Channels after block number `block`: 32, 64, 128, 256, and never above 512."""
        return min(32 * 2**block, 512)


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each loss term; a term of weight 0 is not computed. The defaults are the published ones.

    Reconstruction and warped pictures share the weights of the perceptual, feature matching and adversarial terms.
    gan: least squares or hinge, for both players.
    """

    pixel: float = 10
    perceptual: float = 10
    style: float = 0
    feature_matching: float = 10
    adversarial: float = 1
    flow_consistency: float = 0
    weight_decay: float = 0
    discriminator: float = 1
    gan: GanLoss = "ls"

    def __post_init__(self) -> None:
        if self.gan not in get_args(GanLoss):
            raise ValueError(f"gan must be one of {', '.join(get_args(GanLoss))}, got {self.gan!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise ValueError(f"{field.name} must be >= 0 and finite, got {value}")
