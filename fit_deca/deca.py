"""The fitter `deca`: face crops -> FLAME codes -> vertices in pixels, large batches at a time."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from fit_deca.batches import InPieces
from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import Codes
from fit_deca.encoder import INPUT_SIZE, DecaCodes, Encoder, split_parameters
from fit_deca.flame import Flame


class DecaFitter:
    """DECA's coarse fit, one encoder pass and one FLAME pass for many frames of any tracks."""

    def __init__(self, encoder: Encoder, flame: Flame, *, exact: Encoder | None = None, batch: int = 256) -> None:
        """All models on one device, where all work is done and the results stay.

        encoder: as loaded, or its `fast_encoder`. exact: what encodes again the faces on which the encoder's half
        precision overflows. batch: faces at a time; halved where CUDA memory runs out.
        """
        self.encoder = encoder
        self.exact = exact
        self.flame = flame
        self.device = flame.faces.device
        self._encode = InPieces(batch)
        self._pose = InPieces(batch)

    @torch.no_grad()
    def __call__(self, faces: Tensor) -> DecaCodes:
        """The codes of (B, 3, 224, 224) RGB crops, uint8 or floating in 0..1, on any device.

        Raises ValueError for another size; FloatingPointError where the codes are not finite, as where the trunk's half
        precision overflows and there is no `exact` encoder.
        """
        if faces.shape[1:] != (3, INPUT_SIZE, INPUT_SIZE):
            raise ValueError(f"faces must be (B, 3, {INPUT_SIZE}, {INPUT_SIZE}), got {tuple(faces.shape)}")
        parameters = self._encode(partial(self._parameters, self.encoder), faces)
        astray = ~parameters.isfinite().all(dim=1)
        if self.exact and astray.any():
            again = faces[astray.to(faces.device)]
            parameters[astray] = self._encode(partial(self._parameters, self.exact), again)
        if not parameters.isfinite().all():
            raise FloatingPointError(
                "the encoder's output is not finite: its precision is too low, or its input not finite"
            )
        return split_parameters(parameters)

    @torch.no_grad()
    def vertices(self, codes: Codes, recover: Tensor) -> Tensor:
        """The mesh of each row of codes, (B, V, 3), as `camera.apply_recover` gives it.

        recover: (B, 3, 3), camera plane (-1..1, y down) -> pixels of the output, one a row.
        """
        return self._pose(self._pixels, codes.flat(), recover)

    def _parameters(self, encoder: Encoder, faces: Tensor) -> Tensor:
        faces = faces.to(self.device, non_blocking=True)
        return encoder(faces if faces.is_floating_point() else faces / 255)

    def _pixels(self, flat: Tensor, recover: Tensor) -> Tensor:
        codes = Codes.from_flat(flat.to(self.device))
        plane = project_orthographic(self.flame(codes), codes.camera)
        return apply_recover(plane, recover.to(plane))
