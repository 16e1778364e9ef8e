"""Made-up samples for tests of shards and datasets."""

from __future__ import annotations

import numpy as np

from pipeline.keys import Key
from pipeline.shards import FaceModelStamp, Sample

HEAD = FaceModelStamp(name="head", hash="a" * 64)
OTHER_HEAD = FaceModelStamp(name="other", hash="b" * 64)


def make_sample(frame: int = 0, identity: str = "ann", track: int = 0, size: int = 64, reach: float = 300) -> Sample:
    """A smooth picture and random numbers; the same for the same arguments."""
    rng = np.random.default_rng([frame, track])
    ramp = np.linspace(0, 200, size)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.float64(frame)), axis=2).astype(np.uint8)
    return Sample(
        key=Key(identity, "video.1", "clip", track, frame),
        time=frame / 25,
        image=image,
        arrays={
            "vertices": rng.uniform(-reach, reach, (50, 3)).astype(np.float32),
            "codes": rng.normal(size=165).astype(np.float32),
        },
        crop=np.diag([2, 2, 1.0]) + rng.normal(size=(3, 3)),
        recover=np.diag([32, 32, 1.0]),
        error_median_px=0.1 * frame,
    )
