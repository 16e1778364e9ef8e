"""What a face does in time, without its pictures: what drives another face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
        return Performance(
            times=self.times[rows],
            codes=Codes(*(code[rows] for code in self.codes)),
            recover=self.recover[rows],
            size=self.size,
            face_model=self.face_model,
        )
