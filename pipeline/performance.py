"""What a face does in time, without its pictures: what drives another face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import Codes
from pipeline.shards import FaceModelStamp


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """What a face does at T moments; 800 bytes a frame, so that an hour fits in memory.

    times: (T,) float64 seconds. codes: batch of T on the CPU. recover: (T, 3, 3) float64, the camera's plane -> pixels
    of pictures `size` pixels wide and high. face_model: what gives the codes their meaning.
    """

    times: NDArray[np.float64]
    codes: Codes
    recover: NDArray[np.float64]
    size: int
    face_model: FaceModelStamp

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, rows: slice | NDArray[np.int64]) -> Performance:
        """Some of its frames, in the order asked for."""
        codes = Codes(*(code[rows] for code in self.codes))
        return replace(self, times=self.times[rows], codes=codes, recover=self.recover[rows])

    def resized(self, size: int) -> Performance:
        """The same in pictures of another size."""
        scale = size / self.size
        return replace(self, recover=np.diag([scale, scale, 1]) @ self.recover, size=size)

    @classmethod
    def joined(cls, parts: Sequence[Performance]) -> Performance:
        """Parts with one face model, one size and at least one among them, end to end."""
        return replace(
            parts[0],
            times=np.concatenate([part.times for part in parts]),
            codes=Codes(*(torch.cat(codes) for codes in zip(*(part.codes for part in parts), strict=True))),
            recover=np.concatenate([part.recover for part in parts]),
        )
