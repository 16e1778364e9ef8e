"""The fitters behind one protocol: tracks and their crops -> FLAME on every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.batches import InPieces
from fit_deca.camera import apply_recover, project_orthographic, recast_camera
from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.deca import DecaFitter
from fit_deca.encoder import INPUT_SIZE, DecaCodes
from fit_deca.flame import Flame
from fit_deca.landmarks import FitResult, LandmarkConfig, LandmarkFitter
from fit_deca.model_file import MEDIAPIPE_POINTS
from fit_deca.smoothing import OneEuroConfig, OneEuroFilter, smooth_track
from pipeline.crop import plane_to_pixels, recover_transform
from pipeline.errors import PipelineError
from pipeline.records import Crops, Fit, Track

Shape = Literal["frame", "track"]
Smooth = Literal["none", "one-euro", "optimise"]

_MESHES_AT_A_TIME = 256


NUMBERS_TO_EDGES = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
"""From pixels counted by their centres to pixels counted from the picture's edge."""


class CroppedTrack(NamedTuple):
    """A track and what was cut out of its pictures. shape: (100,) of the person where it is known already; fitters that
    find one shape a track then look for none."""

    track: Track
    crops: Crops
    shape: Tensor | None = None


class Fitter(Protocol):
    """What puts FLAME on faces. Another one is a class with this method more, which `fit.FitTrack` names."""

    def __call__(self, tracks: Sequence[CroppedTrack]) -> list[Fit]:
        """A fit of every track. What is worked out frame by frame may run over the frames of all tracks at once."""


class LandmarkTracks:
    """The fitter `landmarks`: all frames of a track together, through its points; one shape a track."""

    def __init__(self, flame: Flame, smooth: Smooth, config: LandmarkConfig) -> None:
        """Raises FaceModelError, at the first track, for a face model that does not know where its points are."""
        self.flame, self.smooth, self.config = flame, smooth, config
        self._fitters: dict[int, LandmarkFitter] = {}

    def __call__(self, tracks: Sequence[CroppedTrack]) -> list[Fit]:
        return [self.finish(cropped, self.refine(cropped)) for cropped in tracks]

    def refine(self, cropped: CroppedTrack, start: Codes | None = None) -> FitResult:
        """The fit of one track, from `start` on where it is given."""
        track, crops, shape = cropped
        return self._fitter(crops.landmarks.shape[1])(
            torch.from_numpy(crops.landmarks),
            torch.from_numpy(track.head_pose),
            crops.images.shape[1],
            torch.from_numpy(track.times),
            start,
            shape,
        )

    def _fitter(self, points: int) -> LandmarkFitter:
        if points not in self._fitters:
            self._fitters[points] = LandmarkFitter(self.flame, self.config, 478 if points == MEDIAPIPE_POINTS else 68)
        return self._fitters[points]

    def finish(self, cropped: CroppedTrack, result: FitResult) -> Fit:
        """The fit as it is kept."""
        if self.smooth != "one-euro":
            return _fit_of(result.codes, result.recover, result.vertices, result.error_px)
        return pose_track(self.flame, smooth_codes(result.codes, cropped, self.smooth), result.recover, cropped)


class DecaTracks:
    """The fitter `deca`: DECA's encoder on the pictures, all frames of all tracks in one pass.

    As published, a frame knows nothing of the others. `shape`: "track" takes the median over the track, one shape for
    all its frames. `smooth` steadies expression, pose and camera, the camera in the picture: as DECA gives it, it
    depends on a crop that trembles with the landmarks.
    Source: GDPW (BMVC 2022), reference Fit-DECA; parity README, section 12.
    """

    def __init__(self, deca: DecaFitter, shape: Shape, smooth: Smooth, seconds: float) -> None:
        """seconds: over which "optimise" smooths."""
        self.deca, self.shape, self.smooth, self.seconds = deca, shape, smooth, seconds

    def __call__(self, tracks: Sequence[CroppedTrack]) -> list[Fit]:
        """Raises PipelineError for crops without the encoder's."""
        return [
            pose_track(self.deca.flame, codes, recover, cropped, light=found.light)
            for cropped, found in zip(tracks, self.encode(tracks), strict=True)
            for codes, recover in [self._settled(cropped, found.codes)]
        ]

    def encode(self, tracks: Sequence[CroppedTrack]) -> list[DecaCodes]:
        """What the encoder says of each track's frames, on its device."""
        for track, crops, _ in tracks:
            if crops.encoder is None:
                raise PipelineError(f"{track.clip.path}: cropped for another fitter than deca (CropConfig.encoder)")
        pictures = np.concatenate([crops.encoder.images for _, crops, _ in tracks if crops.encoder])
        found = self.deca(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        lengths = [len(cropped.track) for cropped in tracks]
        codes = zip(*(code.split(lengths) for code in found.codes), strict=True)
        return [
            DecaCodes(Codes(*parts), texture, light)
            for parts, texture, light in zip(
                codes, found.texture.split(lengths), found.light.split(lengths), strict=True
            )
        ]

    def _settled(self, cropped: CroppedTrack, codes: Codes) -> tuple[Codes, Tensor]:
        """The codes as they are kept, and the way to the crop's pixels that goes with their cameras."""
        if self.shape == "track":
            codes = codes._replace(shape=codes.shape.median(0).values.expand_as(codes.shape))
        recover = torch.from_numpy(deca_recover(cropped.crops))
        if self.smooth == "none":
            return codes, recover
        steady = torch.from_numpy(plane_to_pixels(cropped.crops.images.shape[1])).expand_as(recover)
        camera = recast_camera(codes.camera, recover.to(codes.camera.device), steady.to(codes.camera.device))
        return smooth_codes(codes._replace(camera=camera), cropped, self.smooth, self.seconds), steady


class RefinedTracks:
    """The fitter `deca+landmarks`: DECA's codes, refined on the points over the track."""

    def __init__(self, deca: DecaTracks, landmarks: LandmarkTracks) -> None:
        self.deca, self.landmarks = deca, landmarks

    def __call__(self, tracks: Sequence[CroppedTrack]) -> list[Fit]:
        """Raises PipelineError for crops without the encoder's, FaceModelError as `LandmarkTracks` does."""
        fits = []
        for cropped, found in zip(tracks, self.deca.encode(tracks), strict=True):
            fit = self.landmarks.finish(cropped, self.landmarks.refine(cropped, found.codes))
            fits.append(replace(fit, light=found.light.cpu().numpy()))
        return fits


def deca_recover(crops: Crops) -> NDArray[np.float64]:
    """(T, 3, 3) from the plane of DECA's camera, by the encoder's crop and the clip, to pixels of the track's crop.

    Raises PipelineError for crops without the encoder's.
    Convention: as in the published fit, numbers of the crop's pixels are taken for places between their edges, so that
    meshes lie half a pixel to the upper left of the face; released weights were trained so.
    """
    if crops.encoder is None:
        raise PipelineError("cropped for another fitter than deca (CropConfig.encoder)")
    to_numbers = np.linalg.inv(NUMBERS_TO_EDGES) @ crops.transforms @ NUMBERS_TO_EDGES
    return recover_transform(crops.encoder.transforms, to_numbers) @ plane_to_pixels(INPUT_SIZE)


def smooth_codes(codes: Codes, cropped: CroppedTrack, smooth: Smooth, seconds: float = 0.0) -> Codes:
    """Everything but the shape steadied over the track, as `smooth` says; `seconds` are for "optimise"."""
    shape, motion = codes.flat().tensor_split([CODE_SIZES["shape"]], dim=1)
    times = torch.from_numpy(cropped.track.times)
    if smooth == "one-euro":
        motion = OneEuroFilter(OneEuroConfig())(motion)
    elif smooth == "optimise":
        motion = smooth_track(motion, times, seconds)
    return Codes.from_flat(torch.cat([shape, motion], dim=1))


def pose_track(flame: Flame, codes: Codes, recover: Tensor, cropped: CroppedTrack, light: Tensor | None = None) -> Fit:
    """The fit that codes (T rows) and recover (T, 3, 3) make of a track."""
    landmarks = torch.from_numpy(cropped.crops.landmarks)
    recover = recover.to(codes.camera.device)

    def pixels(flat: Tensor, recover: Tensor) -> Tensor:
        rows = Codes.from_flat(flat)
        vertices = apply_recover(project_orthographic(flame(rows), rows.camera), recover.to(flat))
        return torch.cat([vertices[..., :2], vertices[..., 2:] * recover[:, :1, :1].to(flat)], dim=2)

    vertices = InPieces(_MESHES_AT_A_TIME)(pixels, codes.flat(), recover)
    fitted = flame.tracked_points(vertices, codes.pose, landmarks.shape[1])
    error = (fitted - landmarks.to(fitted))[..., :2].norm(dim=2)
    return _fit_of(codes, recover, vertices, error, light)


def _fit_of(codes: Codes, recover: Tensor, vertices: Tensor, error_px: Tensor, light: Tensor | None = None) -> Fit:
    """On the CPU."""
    return Fit(
        codes=Codes(*(code.cpu() for code in codes)),
        recover=recover.cpu().numpy(),
        vertices=vertices.cpu().numpy(),
        error_px=error_px.cpu().numpy(),
        light=None if light is None else light.cpu().numpy(),
    )
