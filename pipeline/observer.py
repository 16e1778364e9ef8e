"""What can be seen in pictures of a face: landmarks and codes, found anew by our own tracker and fitter.

A result and what it should be are looked at in the same way, so that tracker and fitter err in both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.closing import Closing
from pipeline.crop import Window, crop_track, sixty_eight
from pipeline.errors import InputError
from pipeline.fit import FitConfig, FitTrack
from pipeline.records import Clip, Frame, Kind, Track
from pipeline.tracks import FindTracks, TrackConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """T square pictures and what is seen in them; NaN where there is no face.

    images: (T, S, S, 3) uint8 RGB. found: (T,) bool. landmarks: (T, 478, 2) float32, all of the tracker's, in pixels.
    expression: (T, 50). pose: (T, 6) axis-angle, head and jaw.
    """

    images: NDArray[np.uint8]
    found: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    expression: NDArray[np.float64]
    pose: NDArray[np.float64]

    @property
    def size(self) -> int:
        return self.images.shape[1]

    @property
    def points(self) -> NDArray[np.float32]:
        """(T, 68, 2), those of the 68-point convention."""
        return sixty_eight(self.landmarks)


class Observer(Closing):
    """Looks at pictures. Close it, or use it in a `with` statement: it holds threads."""

    def __init__(self, fit: FitConfig) -> None:
        self.fit_track = FitTrack(fit)
        self._tracks = FindTracks(TrackConfig(min_frames=1), self._read)
        self._frames: list[Frame] = []

    def __call__(self, images: NDArray[np.uint8], times: NDArray[np.float64], shape: Tensor) -> Seen:
        """images: (T, S, S, 3) RGB, one shot. times: (T,) seconds. shape: (100,) of the person in them."""
        moments = zip(times.tolist(), images, strict=True)
        self._frames = [Frame(number=i, time=time, image=image) for i, (time, image) in enumerate(moments)]
        clip = Clip(path="pictures", identity="pictures", video="pictures", clip="pictures", kind=Kind.FRAMES)
        seen = _nothing(images)
        try:
            tracks = self._tracks(clip).tracks
        except InputError:
            return seen
        for track in tracks:
            self._note(seen, track, shape)
        return seen

    def _note(self, seen: Seen, track: Track, shape: Tensor) -> None:
        whole = Window(0, 0, seen.size)
        crops = crop_track(track, self._frames, seen.size, whole, encoder=self.fit_track.sees_pictures)
        fit = self.fit_track(track, crops, shape)
        seen.found[track.numbers] = True
        seen.landmarks[track.numbers] = crops.landmarks[..., :2]
        seen.expression[track.numbers] = fit.codes.expression.numpy()
        seen.pose[track.numbers] = fit.codes.pose.numpy()

    def _read(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        return iter(self._frames[first:])

    def close(self) -> None:
        self._tracks.close()


def _nothing(images: NDArray[np.uint8]) -> Seen:
    count = len(images)
    return Seen(
        images=images,
        found=np.zeros(count, bool),
        landmarks=np.full((count, 478, 2), np.nan, np.float32),
        expression=np.full((count, 50), np.nan),
        pose=np.full((count, 6), np.nan),
    )
