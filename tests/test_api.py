"""The Python that README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from synthetic_dataset import MadeTrack, write_dataset

README = Path(__file__).parents[1] / "README.md"


def example(heading: str) -> str:
    """The first block of Python below a heading."""
    section = README.read_text(encoding="utf-8").split(f"{heading}\n", 1)[1]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block
    return block[1]


def test_a_picture_is_fitted_and_moved_by_a_dataset(
    astronaut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("face.png").write_bytes(astronaut.read_bytes())
    write_dataset(tmp_path / "OUT", [MadeTrack("ann", "clip", frames=5)])
    names: dict[str, object] = {}
    exec(compile(example("## From Python"), str(README), "exec"), names)
    portrait, pictures = names["portrait"], names["pictures"]
    assert portrait.take.vertices.shape[0] == 1  # type: ignore[attr-defined]
    assert np.shape(pictures) == (5, 256, 256, 3)
    assert Path("moved.mp4").stat().st_size > 1000
