"""Weights in files: the released `.pth`, our own, and safetensors. Nothing in a file is ever executed.

Our `.pth` is the released layout, `generator`, `discriminator` and `global_step`, plus one more entry with what that
layout lacks: settings, the face model's hash, optimisers. The original code reads it as it is.
"""

from __future__ import annotations

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gdpw.config import EMBEDDING_SIZE, FLOW_SIZE, DiscriminatorConfig, GeneratorConfig, GuidanceKind
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.errors import CheckpointError
from gdpw.generator import Generator
from gdpw.rasterizer import RasterizerName
from gdpw.torch_file import check_state, read_torch_file

log = logging.getLogger(__name__)

OUR_ENTRY = "gdpw_pipe"
"""The entry of our own files that released ones do not have."""

KERNELS = ("downsamples.", "downs.")
"""Blur kernels: buffers that follow from the strides, so a file may lack them."""

UNDEFINED = ("downsamples.x1.weight", "downs.x1.weight")
"""Kernels of scale 1: NaN in every released file, never used."""

GUIDANCE_OF_CHANNELS: dict[int, GuidanceKind] = {
    EMBEDDING_SIZE: "neural_codes",
    FLOW_SIZE: "geom_disp",
    EMBEDDING_SIZE + FLOW_SIZE: "both",
}


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file.

    name: the file, for messages.
    generator, discriminator: state dicts; inference needs no discriminator.
    face_model: hash of the face model it was trained with; None in released files.
    training: whatever the trainer needs to resume.
    """

    name: str
    config: GeneratorConfig
    generator: Mapping[str, Tensor]
    face_model: str | None = None
    step: int = 0
    discriminator_config: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    discriminator: Mapping[str, Tensor] | None = None
    training: dict[str, Any] | None = None

    def build_generator(
        self, faces: Tensor, vertices: int, face_model: str, rasterizer: RasterizerName = "torch"
    ) -> Generator:
        """The generator, in evaluation mode, for meshes of the face model with these faces (F, 3) and this hash.

        Raises CheckpointError if it was made for another face model. Released files name none: any face model of the
        same size is taken, and a warning says so.
        """
        stored = self.generator["mesh_renderer.tri"]
        if vertices != self.config.vertices or faces.shape != stored.shape:
            raise CheckpointError(
                f"{self.name}: made for meshes of {self.config.vertices} vertices and {len(stored)} faces, the face "
                f"model has {vertices} and {len(faces)}; choose the face model it was trained with"
            )
        if self.face_model is None:
            log.warning("%s names no face model: taken to fit the one in use (%s)", self.name, face_model)
        elif self.face_model != face_model:
            raise CheckpointError(
                f"{self.name}: trained with the face model {self.face_model}, the one in use is {face_model}; "
                "choose the face model it was trained with"
            )
        generator = _outline(self.config, faces, rasterizer)
        _check_generator(generator, self.generator, self.name)
        _load(generator, {**self.generator, "mesh_renderer.tri": generator.mesh_renderer.tri})
        return generator.eval()

    def build_discriminator(self) -> MultiScaleDiscriminator:
        """The discriminator, in training mode. Raises CheckpointError if the file has none."""
        if self.discriminator is None:
            raise CheckpointError(f"{self.name}: has no discriminator; training needs a training checkpoint")
        with torch.device("meta"):
            discriminator = MultiScaleDiscriminator(self.discriminator_config)
        check_state(discriminator, self.discriminator, self.name, optional=KERNELS, undefined=UNDEFINED)
        _load(discriminator, self.discriminator)
        return discriminator


def load_checkpoint(path: Path | str, config: GeneratorConfig | None = None) -> Checkpoint:
    """Read a `.pth` (released or ours) or `.safetensors` file, strictly. Raises CheckpointError.

    config: settings of a file in the released layout that does not have the released size; the guidance of a released
    one is seen from its weights.
    """
    path = Path(path)
    checkpoint = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path, config)
    outline = _outline(checkpoint.config, checkpoint.generator.get("mesh_renderer.tri", torch.zeros(0, 3)))
    _check_generator(outline, checkpoint.generator, checkpoint.name)
    return checkpoint


def save_checkpoint(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write all of it, in a form that the original code can read too. The file appears whole or not at all."""
    ours = {
        "config": asdict(checkpoint.config),
        "discriminator_config": asdict(checkpoint.discriminator_config),
        "face_model": checkpoint.face_model,
        "training": checkpoint.training,
    }
    content = _released_layout(checkpoint) | {OUR_ENTRY: ours}
    _write(Path(path), lambda partial: torch.save(content, partial))


def export_released(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write the released layout and nothing else: no face model, no settings, no optimisers."""
    content = _released_layout(checkpoint)
    _write(Path(path), lambda partial: torch.save(content, partial))


def export_safetensors(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write the generator alone, for inference, with its settings and face model in the metadata."""
    metadata = {
        "config": json.dumps(asdict(checkpoint.config)),
        "face_model": checkpoint.face_model or "",
        "global_step": str(checkpoint.step),
    }
    state = _ordered(_outline(checkpoint.config, checkpoint.generator["mesh_renderer.tri"]), checkpoint.generator)
    _write(Path(path), lambda partial: save_file(state, partial, metadata=metadata))


def _read_pth(path: Path, config: GeneratorConfig | None) -> Checkpoint:
    content = read_torch_file(path)
    state = content.get("generator") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: not a GDPW checkpoint, it has no state dict `generator`")
    ours = content.get(OUR_ENTRY, {})
    return Checkpoint(
        name=str(path),
        config=_stored_config(ours["config"], path) if ours else config or _released_config(state, path),
        generator=state,
        face_model=ours.get("face_model"),
        step=content.get("global_step", 0),
        discriminator_config=DiscriminatorConfig(**ours.get("discriminator_config", {})),
        discriminator=content.get("discriminator"),
        training=ours.get("training"),
    )


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a mapping
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or damaged ({error})") from error
    if "config" not in metadata:
        raise CheckpointError(f"{path}: not written by `gdpw-pipe export`, its metadata has no config")
    return Checkpoint(
        name=str(path),
        config=_stored_config(json.loads(metadata["config"]), path),
        generator=state,
        face_model=metadata["face_model"] or None,
        step=int(metadata["global_step"]),
    )


def _stored_config(settings: dict[str, Any], path: Path) -> GeneratorConfig:
    try:
        return GeneratorConfig(**settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: settings of another version of gdpw-pipe ({error})") from error


def _released_config(state: Mapping[str, Tensor], path: Path) -> GeneratorConfig:
    """The released settings, with the guidance that the width of the modulation input tells."""
    modulated = next((value for key, value in state.items() if key.endswith("shared_conv.0.weight_orig")), None)
    channels = 0 if modulated is None else modulated.shape[1]
    if channels not in GUIDANCE_OF_CHANNELS:
        raise CheckpointError(f"{path}: not a GDPW generator, its modulation input has {channels} channels")
    return GeneratorConfig(guidance=GUIDANCE_OF_CHANNELS[channels])


def _outline(config: GeneratorConfig, faces: Tensor, rasterizer: RasterizerName = "torch") -> Generator:
    """A generator without memory for its weights; only its mesh and kernels are there."""
    with torch.device("meta"):
        return Generator(config, faces, rasterizer)


def _check_generator(outline: Generator, state: Mapping[str, Tensor], name: str) -> None:
    check_state(outline, state, name, optional=KERNELS, undefined=UNDEFINED)
    for key, kernel in outline.state_dict().items():
        if key.startswith(KERNELS) and key in state and not torch.allclose(state[key], kernel, equal_nan=True):
            raise CheckpointError(f"{name}: {key} is not the Gaussian the generator blurs with")


def _load(outline: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill an outline with copies of a state that was checked against it; kernels may be missing."""
    outline.load_state_dict({key: value.clone() for key, value in state.items()}, strict=False, assign=True)


def _released_layout(checkpoint: Checkpoint) -> dict[str, Any]:
    outline = _outline(checkpoint.config, checkpoint.generator["mesh_renderer.tri"])
    content: dict[str, Any] = {"generator": _ordered(outline, checkpoint.generator)}
    if checkpoint.discriminator is not None:
        with torch.device("meta"):
            discriminator = MultiScaleDiscriminator(checkpoint.discriminator_config)
        content["discriminator"] = _ordered(discriminator, checkpoint.discriminator)
    return content | {"global_step": checkpoint.step}


def _ordered(outline: nn.Module, state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """All entries in the network's order, on the CPU; kernels that `state` lacks come from the network."""
    complete = {**outline.state_dict(), **state}
    return OrderedDict((key, complete[key].detach().cpu().contiguous()) for key in outline.state_dict())


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
