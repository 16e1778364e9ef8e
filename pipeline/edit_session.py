"""A portrait whose codes are edited: the states it went through, and the pictures of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.codes import Codes
from fit_deca.editing import Edit, apply_edits
from fit_deca.flame import Flame
from gdpw.geometry import pixels_to_ndc
from pipeline.atomic import atomic_path
from pipeline.edit_file import read_performance, write_performance
from pipeline.errors import PipelineError
from pipeline.performance import Performance
from pipeline.render import Animator, Stage, Take, retarget
from pipeline.shaded import draw_shaded
from pipeline.shards import FaceModelStamp

FPS = 25
"""Pictures a second of the preset animation, as published."""

_JPEG_QUALITY = 95


class Panels(NamedTuple):
    """The four pictures of an edit, each (S, S, 3) uint8 RGB: as it was and as it is, then their shaded meshes."""

    source: NDArray[np.uint8]
    result: NDArray[np.uint8]
    source_mesh: NDArray[np.uint8]
    result_mesh: NDArray[np.uint8]

    def side_by_side(self) -> NDArray[np.uint8]:
        return np.concatenate(self, axis=1)


class DrawEdits:
    """Codes of one portrait -> its panels.

    source: the take of one picture that is edited. stage: the same with a margin (`with_margin`), for a model that
    makes use of it and would else have nothing to show where the head leaves its square.
    """

    def __init__(
        self,
        source: Take,
        flame: Flame,
        model: Animator[Any],
        stage: Stage | None = None,
        batch: int = 16,
    ) -> None:
        self.source, self.flame, self.model, self.batch = source, flame, model, batch
        self._stage = stage or Stage.of(source)
        take = self._stage.take
        image = torch.from_numpy(take.images[0]).permute(2, 0, 1) / 255
        vertices = torch.from_numpy(take.vertices[0])
        self._encoded = model.encode(image, pixels_to_ndc(vertices, take.size, take.size))
        self._mesh = draw_shaded(torch.from_numpy(source.vertices[:1]), flame.faces, source.size, source.size)[0]

    @torch.no_grad()
    def __call__(self, codes: Codes) -> Iterator[Panels]:
        """The panels of each row."""
        recover, size = torch.from_numpy(self.source.recover[:1]), self.source.size
        for start in range(0, len(codes.shape), self.batch):
            rows = Codes(*(code[start : start + self.batch].to(self.flame.v_template.device) for code in codes))
            vertices = retarget(self.flame, rows, rows, recover.expand(len(rows.shape), 3, 3))
            results = self.model.animate(self._encoded, self._staged(vertices))
            inside = self._stage.inside
            pictures = (results[..., inside, inside] * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
            meshes = draw_shaded(vertices, self.flame.faces, size, size)
            for result, mesh in zip(pictures.cpu().numpy(), meshes, strict=True):
                yield Panels(self.source.images[0], result, self._mesh, mesh)

    def _staged(self, vertices: Tensor) -> Tensor:
        """Meshes (B, V, 3) in the source's pixels -> NDC of the picture that the model moves."""
        change, size = self._stage.change, self._stage.take.size
        moved = vertices * change[0, 0]
        moved[..., :2] += vertices.new_tensor(change[:2, 2])
        return pixels_to_ndc(moved, size, size)


class EditSession:
    """What a person does to a portrait, change by change; each can be taken back and made again."""

    def __init__(self, draw: DrawEdits, face_model: FaceModelStamp) -> None:
        self.draw, self.face_model = draw, face_model
        self._states = [draw.source.codes]
        self._at = 0

    @property
    def codes(self) -> Codes:
        """The codes as they are now, one row."""
        return self._states[self._at]

    @property
    def can_undo(self) -> bool:
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        return self._at < len(self._states) - 1

    def apply(self, edits: Iterable[Edit], *, amend: bool = False) -> None:
        """Make edits, one change however many.

        amend: part of the change before, with which it is undone: a slider on its way.
        """
        codes = apply_edits(self.codes, edits)
        if amend and self.can_undo:
            self._at -= 1
        self._change(codes)

    def reset(self) -> None:
        """Back to the portrait as it was fitted; a change like others."""
        self._change(self._states[0])

    def undo(self) -> None:
        """Raises PipelineError where nothing is left to undo."""
        if not self.can_undo:
            raise PipelineError("nothing to undo")
        self._at -= 1

    def redo(self) -> None:
        """Raises PipelineError where nothing was undone."""
        if not self.can_redo:
            raise PipelineError("nothing to redo")
        self._at += 1

    def load(self, path: Path) -> None:
        """Take the codes of a file that `save` wrote.

        Raises PipelineError if it is another file, belongs to another face model or holds more than one frame.
        """
        performance = read_performance(path, self.face_model)
        if len(performance.times) != 1:
            raise PipelineError(f"{path}: holds {len(performance.times)} frames, not one; it can only drive")
        self._change(performance.codes)

    def save(self, path: Path, codes: Codes | None = None) -> None:
        """Write the codes, or T other rows of this portrait that follow at `FPS`, as a file that drives.

        Raises PipelineError if it cannot be written.
        """
        codes = self.codes if codes is None else codes
        count = len(codes.shape)
        source = self.draw.source
        performance = Performance(
            times=np.arange(count) / FPS,
            codes=codes,
            recover=np.repeat(source.recover[:1], count, axis=0),
            size=source.size,
            face_model=self.face_model,
        )
        write_performance(path, performance)

    def panels(self) -> Panels:
        """The pictures of the codes as they are now."""
        return next(self.draw(self.codes))

    def write_picture(self, path: Path) -> None:
        """Write the panels side by side as a JPEG. Raises PipelineError if it cannot be written."""
        data = encode_jpeg(self.panels().side_by_side())
        with atomic_path(path) as partial:
            partial.write_bytes(data)

    def _change(self, codes: Codes) -> None:
        del self._states[self._at + 1 :]
        self._states.append(codes)
        self._at += 1


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB as a JPEG without chroma subsampling."""
    image = np.ascontiguousarray(image)
    return simplejpeg.encode_jpeg(image, quality=_JPEG_QUALITY, colorspace="RGB", colorsubsampling="444")
