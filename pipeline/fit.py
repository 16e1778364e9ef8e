"""Tracks and their crops -> FLAME on every frame, by the fitter that is asked for or, with "auto", that can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fit_deca.deca import DecaFitter
from fit_deca.deca_file import load_encoder
from fit_deca.encoder import fast_encoder
from fit_deca.flame import Flame
from fit_deca.landmarks import LandmarkConfig
from pipeline.assets import find, require
from pipeline.catalogue import CATALOGUE
from pipeline.checksums import digest_of
from pipeline.face_models import open_face_model
from pipeline.fitters import CroppedTrack, DecaTracks, Fitter, LandmarkTracks, RefinedTracks, Shape, Smooth
from pipeline.node_cache import local_copy
from pipeline.records import Crops, Fit, Track

FitterName = Literal["auto", "deca", "landmarks", "deca+landmarks"]


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How FLAME is put on faces.

    fitter: "deca" is DECA's encoder on the pictures, "landmarks" is through the tracked points, "deca+landmarks" from
    the one's codes on through the other; "auto" is `deca` where its three files are found, else `landmarks`.
    face_model: a FLAME file; None is the one that is found for DECA, and for `landmarks` the generic head that comes
    along. deca_model, landmark_embedding: DECA's files; None is what `assets.find` finds.
    shape: one a frame or one for the whole track; None is a frame for `deca`, a track for the others, which know none
    other. smooth: None is none for `deca`, optimise for the others.
    device: where the fit is worked out; None is an NVIDIA GPU for DECA, where there is one, else the CPU.
    """

    fitter: FitterName = "landmarks"
    face_model: Path | None = None
    deca_model: Path | None = None
    landmark_embedding: Path | None = None
    shape: Shape | None = None
    smooth: Smooth | None = None
    device: str | None = None
    landmarks: LandmarkConfig = field(default_factory=LandmarkConfig)

    def __post_init__(self) -> None:
        if self.shape == "frame" and self.fitter in ("landmarks", "deca+landmarks"):
            raise ValueError(f"the fitter {self.fitter} finds one shape for a track; shape frame needs the fitter deca")

    @property
    def sees_pictures(self) -> bool:
        """Whether the fitter looks at the pictures, in crops for DECA's encoder; of settled configs."""
        return self.fitter != "landmarks"

    def settled(self) -> FitConfig:
        """The same with nothing left open but the device: what is really fitted, here and on other machines.

        Raises PipelineError, one line, where a file that is asked for is missing; ValueError as the config does.
        """
        fitter = self.fitter
        if fitter == "auto":
            fitter = "landmarks" if self.missing() else "deca"
        if fitter == "landmarks":
            embedding = find("landmark_embedding", self.landmark_embedding) if self.face_model else None
            return replace(self._with(fitter, "track", "optimise"), landmark_embedding=embedding)
        return replace(
            self._with(fitter, *(("frame", "none") if fitter == "deca" else ("track", "optimise"))),
            deca_model=require("deca", self.deca_model),
            face_model=self.face_model or find("flame") or find("flame2023") or require("flame"),
            landmark_embedding=require("landmark_embedding", self.landmark_embedding),
        )

    def missing(self) -> list[str]:
        """File names of what DECA needs and is not found."""
        found = {
            "deca": find("deca", self.deca_model),
            "flame": self.face_model or find("flame") or find("flame2023"),
            "landmark_embedding": find("landmark_embedding", self.landmark_embedding),
        }
        return [CATALOGUE[name].file for name, path in found.items() if path is None]

    def described(self) -> str:
        """One line for people: which fitter works on what; for "auto", also why."""
        used = self.settled()
        head = used.face_model.name if used.face_model else "the generic head"
        text = f"fitter: {used.fitter} on {head}, shape a {used.shape}, smooth {used.smooth}"
        if self.fitter == "auto" and used.fitter == "landmarks":
            text += f" (deca would need {', '.join(self.missing())}; see 'gdpw-pipe assets')"
        return text

    def stored(self) -> dict[str, Any]:
        """What of it decides what is fitted, as JSON can hold it; the face model has a stamp of its own."""
        used = self.settled()
        return {
            "fitter": used.fitter,
            "shape": used.shape,
            "smooth": used.smooth,
            "deca_model": digest_of(used.deca_model) if used.deca_model else None,
            "landmarks": asdict(used.landmarks),
        }

    def _with(self, fitter: FitterName, shape: Shape, smooth: Smooth) -> FitConfig:
        """With that fitter, whose own choices fill what is left open."""
        return replace(self, fitter=fitter, shape=self.shape or shape, smooth=self.smooth or smooth)


class FitTrack:
    """Tracks and their crops -> codes and vertices of their frames.

    face_model, flame: what it fits. sees_pictures: whether crops must have been cut for DECA's encoder as well.
    Raises FaceModelError on the worker that builds it, if the face model cannot be used, PipelineError for what is
    missing. The encoder's file is read at the first track.
    """

    def __init__(self, config: FitConfig) -> None:
        self._config = config.settled()
        self.sees_pictures = self._config.sees_pictures
        self.face_model = open_face_model(self._config.face_model, self._config.landmark_embedding)
        self.flame = Flame(self.face_model).to(self._device)

    def __call__(self, track: Track, crops: Crops, shape: Tensor | None = None) -> Fit:
        """One track. shape: (100,) of its person where it is known; see `CroppedTrack`."""
        return self.several([CroppedTrack(track, crops, shape)])[0]

    def several(self, tracks: Sequence[CroppedTrack]) -> list[Fit]:
        """The fits of several tracks, whose frames go through DECA's encoder together."""
        return self._fitter(tracks)

    @property
    def _device(self) -> torch.device:
        by_picture = "cuda" if self.sees_pictures and torch.cuda.is_available() else "cpu"
        return torch.device(self._config.device or by_picture)

    @cached_property
    def _fitter(self) -> Fitter:
        config, smooth = self._config, self._config.smooth or "none"
        points = LandmarkTracks(self.flame, smooth, _without_smoothing(config))
        if config.deca_model is None:
            return points
        deca = DecaTracks(self._encoder(config.deca_model), config.shape or "frame", smooth, config.landmarks.smoothing)
        return deca if config.fitter == "deca" else RefinedTracks(deca, points)

    def _encoder(self, path: Path) -> DecaFitter:
        encoder = load_encoder(local_copy(path)).to(self._device)
        if self._device.type != "cuda":
            return DecaFitter(fast_encoder(encoder, torch.float32), self.flame)
        return DecaFitter(fast_encoder(encoder, torch.float16), self.flame, exact=encoder)


def _without_smoothing(config: FitConfig) -> LandmarkConfig:
    """The landmark fit smooths by itself; other ways of smoothing, and none, want it not to."""
    return config.landmarks if config.smooth == "optimise" else replace(config.landmarks, smoothing=0.0)
