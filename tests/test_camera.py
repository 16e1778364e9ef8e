"""Recording what a camera gives, with a camera that is made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.camera import record
from pipeline.errors import InputError
from pipeline.video import read_frames


class MadeCamera:
    """Gives so many pictures of growing blue, then nothing or Ctrl-C. One takes a tenth of a second."""

    def __init__(self, pictures: int, end: type[BaseException] | None = None) -> None:
        self.pictures, self.end, self.given = pictures, end, 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.given == self.pictures:
            if self.end:
                raise self.end
            return False, None
        self.given += 1
        image = np.zeros((64, 64, 3), np.uint8)
        image[..., 0] = 20 * self.given  # BGR
        return True, image

    def clock(self) -> float:
        return 5 + self.given / 10


@pytest.mark.parametrize(
    ("camera", "seconds", "count"),
    [(MadeCamera(6), None, 6), (MadeCamera(6, KeyboardInterrupt), None, 6), (MadeCamera(99), 0.45, 5)],
)
def test_a_recording_ends_with_the_camera_with_ctrl_c_or_in_time(
    tmp_path: Path, camera: MadeCamera, seconds: float | None, count: int
) -> None:
    record(camera, tmp_path / "a.mp4", seconds, "camera 0", clock=camera.clock)
    frames = list(read_frames(tmp_path / "a.mp4"))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(count) / 10, atol=1e-4)
    assert frames[3].image[..., 2].mean() == pytest.approx(80, abs=6)
    assert frames[3].image[..., 0].mean() < 15


def test_a_camera_without_pictures_says_so(tmp_path: Path) -> None:
    camera = MadeCamera(0)
    with pytest.raises(InputError, match="camera 7: gives no picture"):
        record(camera, tmp_path / "a.mp4", None, "camera 7", clock=camera.clock)
