"""Tracks and their crops -> FLAME on every frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from fit_deca.codes import Codes
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from fit_deca.landmarks import LandmarkConfig, LandmarkFitter
from fit_deca.model_file import load_face_model
from pipeline.records import Crops, Fit, Track


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """face_model: a FLAME file; None is the generic head that comes along. device: where the fit is worked out."""

    face_model: Path | None = None
    device: str = "cpu"
    landmarks: LandmarkConfig = field(default_factory=LandmarkConfig)


class FitTrack:
    """Track and its crops -> codes and vertices of its frames.

    face_model, flame: what it fits.
    Raises FaceModelError on the worker that builds it, if the face model cannot be used.
    """

    def __init__(self, config: FitConfig) -> None:
        self.face_model = load_face_model(config.face_model) if config.face_model else load_generic_head()
        self.flame = Flame(self.face_model).to(config.device)
        self._fitter = LandmarkFitter(self.flame, config.landmarks)

    def __call__(self, track: Track, crops: Crops) -> Fit:
        result = self._fitter(
            torch.from_numpy(crops.landmarks),
            torch.from_numpy(track.head_pose),
            crops.images.shape[1],
            torch.from_numpy(track.times),
        )
        return Fit(
            codes=Codes(*(code.cpu() for code in result.codes)),
            recover=result.recover.cpu().numpy(),
            vertices=result.vertices.cpu().numpy(),
            error_px=result.error_px.cpu().numpy(),
        )
