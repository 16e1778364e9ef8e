"""Changing a face by its codes: angles in degrees, the edit language, the preset animation.

Angles are yaw, pitch, roll: turns about the fixed axes y, then x, then z, in degrees (SciPy's lower-case `yxz`).
An edit is a triple of words, several on a line: `shape 0 1.5 jaw_pose pitch 5 cam scale 10`.
Source: GDPW (BMVC 2022), reference face_edit_demo.py; parity README section 14.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from fit_deca.codes import CODE_SIZES, Codes

ANGLES = ("yaw", "pitch", "roll")
COEFFICIENT_LIMIT = 2.0

PRESET_ACTS = {
    "shape": ("shape", COEFFICIENT_LIMIT),
    "exp": ("exp", COEFFICIENT_LIMIT),
    "jaw": ("jaw_pose", 8.0),
    "pose": ("global_pose", 15.0),
}
"""The acts of the preset animation, in order: which parameter moves, and how far (angles: degrees)."""

LEG = 40
"""Frames in which the preset animation moves out, and again back."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a name of the edit language stands for.

    field: of `Codes`. parts: names of its columns, from column `first` on. angles: whether these columns are an
    axis-angle vector and the parts its angles. limit: largest size of a value; where the original sets none, one past
    which float32 holds no useful angle or position.
    """

    field: str
    parts: tuple[str, ...]
    first: int = 0
    angles: bool = False
    limit: float = 1e6

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + len(self.parts))


def _coefficients(field: str) -> Parameter:
    return Parameter(field=field, parts=tuple(map(str, range(CODE_SIZES[field]))), limit=COEFFICIENT_LIMIT)


PARAMETERS = {
    "shape": _coefficients("shape"),
    "exp": _coefficients("expression"),
    "global_pose": Parameter(field="pose", parts=ANGLES, angles=True),
    "jaw_pose": Parameter(field="pose", parts=ANGLES, first=3, angles=True),
    "leye_pose": Parameter(field="eyes", parts=ANGLES, angles=True),
    "reye_pose": Parameter(field="eyes", parts=ANGLES, first=3, angles=True),
    "cam": Parameter(field="camera", parts=("scale", "tx", "ty")),
}
"""The names of the edit language."""


@dataclass(frozen=True)
class Edit:
    """One triple: a part of a parameter gets a new value, degrees for an angle. `str` gives the triple back.

    Raises ValueError for an unknown name or part, or a value out of range.
    """

    name: str
    part: str
    value: float

    def __post_init__(self) -> None:
        if self.name not in PARAMETERS:
            raise ValueError(f"no parameter {self.name!r}, choose from {', '.join(PARAMETERS)}")
        parts, limit = self.parameter.parts, self.parameter.limit
        if self.part not in parts:
            choice = ", ".join(parts) if len(parts) == 3 else f"{parts[0]} to {parts[-1]}"
            raise ValueError(f"{self.name} has no part {self.part!r}, choose from {choice}")
        if not abs(self.value) <= limit:
            raise ValueError(f"a value of {self.name} lies between {-limit:g} and {limit:g}")

    @property
    def parameter(self) -> Parameter:
        return PARAMETERS[self.name]

    def __str__(self) -> str:
        return f"{self.name} {self.part} {self.value!r}"


def parse_edits(line: str) -> list[Edit]:
    """The edits of one line, any number of triples separated by blanks.

    Raises ValueError, one line that names the first bad triple.
    """
    words = line.split()
    return [_parse_triple(words[start : start + 3]) for start in range(0, len(words), 3)]


def _parse_triple(words: list[str]) -> Edit:
    try:
        if len(words) != 3:
            raise ValueError("an edit has three words: name, part, value")
        return Edit(words[0], words[1], _parse_number(words[2]))
    except ValueError as error:
        raise ValueError(f"{' '.join(words)!r}: {error}") from None


def _parse_number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{word!r} is no number") from None


def apply_edits(codes: Codes, edits: Iterable[Edit]) -> Codes:
    """Codes with the edits made one after the other, on every row alike; the given ones stay as they are."""
    edited = Codes(*(code.clone() for code in codes))
    for edit in edits:
        target = getattr(edited, edit.parameter.field)[:, edit.parameter.columns]
        if edit.parameter.angles:
            target[:] = set_angle(target, edit.part, edit.value)
        else:
            target[:, edit.parameter.parts.index(edit.part)] = edit.value
    return edited


def parameter_values(codes: Codes, name: str) -> Tensor:
    """What an edit of each part of a parameter would set: (B, parts), degrees for angles."""
    parameter = PARAMETERS[name]
    columns = getattr(codes, parameter.field)[:, parameter.columns]
    return axis_angle_to_degrees(columns.double()).to(columns) if parameter.angles else columns


def axis_angle_to_degrees(vector: Tensor) -> Tensor:
    """Axis-angle radians (B, 3) -> yaw, pitch, roll in degrees (B, 3); pitch within -90..90.

    Where the pitch is a right angle, yaw and roll turn about one axis, and the roll is given as zero.
    """
    rotation = Rotation.from_rotvec(vector.detach().cpu().double().numpy())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock")
        return vector.new_tensor(rotation.as_euler("yxz", degrees=True))


def degrees_to_axis_angle(angles: Tensor) -> Tensor:
    """Yaw, pitch, roll in degrees (B, 3) -> axis-angle radians (B, 3), at most pi long."""
    rotation = Rotation.from_euler("yxz", angles.detach().cpu().double().numpy(), degrees=True)
    return angles.new_tensor(rotation.as_rotvec())


def set_angle(vector: Tensor, angle: str, degrees: float) -> Tensor:
    """Axis-angle vectors (B, 3) with one of their `ANGLES` set, the other two kept."""
    angles = axis_angle_to_degrees(vector.double())
    angles[:, ANGLES.index(angle)] = degrees
    return degrees_to_axis_angle(angles).to(vector.dtype)


def preset_animation(codes: Codes, preset: str = "all") -> Codes:
    """The published animation of one face, a row a frame: 1280 for `all`, 160 for shape or exp, 480 for jaw or pose.

    codes: one row. preset: `all` or one of `PRESET_ACTS`.
    Coefficients go to -2 and back, the even ones, then the odd ones; angles turn to one side and back, then to the
    other, yaw, pitch, roll. Both ends of each leg are frames.
    Raises ValueError for an unknown preset, or codes of more than one face.
    """
    if preset != "all" and preset not in PRESET_ACTS:
        raise ValueError(f"no preset {preset!r}, choose from all, {', '.join(PRESET_ACTS)}")
    if len(codes.shape) != 1:
        raise ValueError(f"the preset animates one face, got codes of {len(codes.shape)}")
    acts = [_act(codes, *PRESET_ACTS[name]) for name in (PRESET_ACTS if preset == "all" else [preset])]
    return Codes(*(torch.cat(parts) for parts in zip(*acts, strict=True)))


def _act(codes: Codes, name: str, reach: float) -> Codes:
    parameter = PARAMETERS[name]
    start = getattr(codes, parameter.field)[:, parameter.columns]
    if parameter.angles:
        angles = axis_angle_to_degrees(start.double())
        turns = [side * reach * axis for axis in torch.eye(3).to(angles) for side in (-1, 1)]
        values = degrees_to_axis_angle(torch.cat([_there_and_back(angles, angles + turn) for turn in turns]))
    else:
        odd = torch.arange(start.shape[1], device=start.device) % 2 == 1
        values = torch.cat([_there_and_back(start, start.masked_fill(moving, -reach)) for moving in (~odd, odd)])
    frames = Codes(*(code.repeat(len(values), 1) for code in codes))
    getattr(frames, parameter.field)[:, parameter.columns] = values.to(start.dtype)
    return frames


def _there_and_back(start: Tensor, end: Tensor) -> Tensor:
    """Two legs between rows (1, C), linearly: (2 * LEG, C)."""
    out = torch.linspace(0, 1, LEG, dtype=start.dtype, device=start.device)
    return start.lerp(end, torch.cat([out, out.flip(0)])[:, None])
