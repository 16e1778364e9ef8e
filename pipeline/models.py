"""Which model animates: `mesh-warp` without weights, GDPW with a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from fit_deca.model_file import FaceModel
from gdpw.animator import Animator as GdpwAnimator
from gdpw.checkpoint import load_checkpoint
from gdpw.execution import Execution
from gdpw.mesh_warp import MeshWarp
from gdpw.rasterizer import RasterizerName
from pipeline.errors import PipelineError
from pipeline.node_cache import local_copy
from pipeline.render import Animator

ModelName = Literal["mesh-warp", "gdpw"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """name: None is gdpw where there is a checkpoint, else mesh-warp.

    checkpoint: GDPW's weights, a released `.pth` or ours; its guidance comes from it.
    rasterizer: what draws the guidance; nvdiffrast needs an NVIDIA GPU and is for non-commercial use.
    execution: how GDPW's network runs; compiling takes about a minute. batch: its frames at once.
    device: where the network runs; None is an NVIDIA GPU where there is one, in bfloat16, else the CPU, in float32.
    """

    name: ModelName | None = None
    checkpoint: Path | None = None
    rasterizer: RasterizerName = "torch"
    execution: Execution = "eager"
    batch: int = 8
    device: str | None = None

    @property
    def sees_around(self) -> bool:
        """Whether it makes use of what lies around a source's square: mesh-warp does, GDPW is trained on the square."""
        return self.checkpoint is None


def load_model(config: ModelConfig, face_model: FaceModel) -> Animator[Any]:
    """The model, for meshes of this face model.

    Raises CheckpointError if the weights cannot be used or belong to another face model, PipelineError if the
    rasteriser cannot, or if model and checkpoint do not go together.
    """
    faces = torch.from_numpy(face_model.faces)
    if config.name == "mesh-warp" and config.checkpoint:
        raise PipelineError(f"{config.checkpoint}: mesh-warp takes no weights; leave out --checkpoint or --model")
    if config.checkpoint is None:
        if config.name == "gdpw":
            raise PipelineError("the model gdpw needs its weights: name them with --checkpoint, or take mesh-warp")
        return MeshWarp(faces)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if config.rasterizer == "nvdiffrast" and not device.startswith("cuda"):
        raise PipelineError("the rasterizer nvdiffrast needs an NVIDIA GPU, and none is in use; take torch")
    checkpoint = load_checkpoint(local_copy(config.checkpoint))
    try:
        generator = checkpoint.build_generator(
            faces, len(face_model.v_template), face_model.hash, rasterizer=config.rasterizer
        )
    except ImportError as error:
        raise PipelineError(str(error)) from error
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    return GdpwAnimator(generator, device, dtype, config.execution, config.batch)
