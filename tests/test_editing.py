"""The edit language and the preset animation on codes made here."""

from __future__ import annotations

import re
import warnings

import pytest
import torch

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.editing import (
    PARAMETERS,
    PRESET_ACTS,
    Edit,
    apply_edits,
    axis_angle_to_degrees,
    degrees_to_axis_angle,
    parameter_values,
    parse_edits,
    preset_animation,
    set_angle,
)


def drawn_codes(rows: int) -> Codes:
    generator = torch.Generator().manual_seed(0)
    return Codes(*(0.3 * torch.randn(rows, size, generator=generator) for size in CODE_SIZES.values()))


def edited(line: str, rows: int = 1) -> tuple[Codes, Codes]:
    """Drawn codes before and after the edits of a line."""
    codes = drawn_codes(rows)
    return codes, apply_edits(codes, parse_edits(line))


def changed(before: Codes, after: Codes) -> dict[str, list[int]]:
    """Columns that differ in any row, by field."""
    pairs = zip(CODE_SIZES, before, after, strict=True)
    differ = {field: (a != b).any(0).nonzero().flatten().tolist() for field, a, b in pairs}
    return {field: columns for field, columns in differ.items() if columns}


def test_a_quarter_turn_about_each_axis() -> None:
    quarter = torch.pi / 2
    vectors = torch.tensor([[0, quarter, 0], [quarter / 2, 0, 0], [0, 0, quarter]])
    torch.testing.assert_close(axis_angle_to_degrees(vectors), torch.tensor([[90.0, 0, 0], [0, 45, 0], [0, 0, 90]]))


def test_angles_turn_about_fixed_axes_yaw_first() -> None:
    """The front (0, 0, 1) goes to the side by yaw 90, stays there under pitch, and up by roll 90."""
    vector = degrees_to_axis_angle(torch.tensor([[90.0, 30.0, 90.0]], dtype=torch.float64))
    angle = vector.norm()
    axis = (vector / angle)[0]
    front = torch.tensor([0, 0, 1.0], dtype=torch.float64)
    turned = (
        front * angle.cos() + torch.linalg.cross(axis, front) * angle.sin() + axis * (axis @ front) * (1 - angle.cos())
    )
    torch.testing.assert_close(turned, torch.tensor([0, 1.0, 0], dtype=torch.float64))


def test_looking_straight_up_gives_angles_that_mean_the_same_turn_without_a_warning() -> None:
    vector = degrees_to_axis_angle(torch.tensor([[20.0, 90.0, 30.0]], dtype=torch.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        angles = axis_angle_to_degrees(vector)
    torch.testing.assert_close(degrees_to_axis_angle(angles), vector, rtol=0, atol=1e-6)


def test_setting_an_angle_keeps_the_other_two() -> None:
    vectors = drawn_codes(4).pose[:, :3]
    before, after = axis_angle_to_degrees(vectors), axis_angle_to_degrees(set_angle(vectors, "pitch", -12.5))
    torch.testing.assert_close(after[:, 1], torch.full((4,), -12.5))
    torch.testing.assert_close(after[:, ::2], before[:, ::2], rtol=0, atol=1e-4)


def test_the_line_of_the_originals_readme() -> None:
    before, after = edited("shape 0 1.5 exp 0 -1 global_pose yaw -10 jaw_pose pitch 5 cam scale 10")
    assert after.shape[0, 0] == 1.5
    assert after.expression[0, 0] == -1
    assert axis_angle_to_degrees(after.pose[:, :3])[0, 0] == pytest.approx(-10, abs=1e-4)
    assert axis_angle_to_degrees(after.pose[:, 3:])[0, 1] == pytest.approx(5, abs=1e-4)
    assert after.camera[0, 0] == 10
    assert changed(before, after) == {
        "shape": [0],
        "expression": [0],
        "pose": [0, 1, 2, 3, 4, 5],
        "camera": [0],
    }


@pytest.mark.parametrize(
    ("line", "field", "columns"),
    [
        ("shape 99 2", "shape", [99]),
        ("exp 49 -2", "expression", [49]),
        ("global_pose roll 3", "pose", [0, 1, 2]),
        ("jaw_pose yaw 3", "pose", [3, 4, 5]),
        ("leye_pose pitch 3", "eyes", [0, 1, 2]),
        ("reye_pose roll 3", "eyes", [3, 4, 5]),
        ("cam tx -2", "camera", [1]),
        ("cam ty 0.25", "camera", [2]),
    ],
)
def test_every_name_changes_its_own_columns(line: str, field: str, columns: list[int]) -> None:
    assert changed(*edited(line)) == {field: columns}


def test_edits_change_every_row_and_leave_the_input_as_it_was() -> None:
    codes = drawn_codes(3)
    before = codes.flat()
    after = apply_edits(codes, parse_edits("shape 7 0.5 jaw_pose pitch 6 cam tx 1"))
    assert torch.equal(codes.flat(), before)
    assert (after.shape[:, 7] == 0.5).all()
    torch.testing.assert_close(axis_angle_to_degrees(after.pose[:, 3:])[:, 1], torch.full((3,), 6.0))


def test_later_edits_build_on_earlier_ones() -> None:
    _, after = edited("shape 0 1 shape 0 -1 jaw_pose yaw 4 jaw_pose pitch 5 jaw_pose roll 6")
    assert after.shape[0, 0] == -1
    torch.testing.assert_close(axis_angle_to_degrees(after.pose[:, 3:]), torch.tensor([[4.0, 5, 6]]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameters_values_are_those_its_edits_set(name: str) -> None:
    values = {part: 1.5 - 0.01 * number for number, part in enumerate(PARAMETERS[name].parts)}
    after = apply_edits(drawn_codes(2), [Edit(name, part, value) for part, value in values.items()])
    expected = torch.tensor(list(values.values())).expand(2, -1)
    torch.testing.assert_close(parameter_values(after, name), expected, rtol=0, atol=1e-5)


def test_any_blanks_separate_words_and_none_are_no_edit() -> None:
    assert parse_edits("  exp 3\t1e-1  ") == [Edit("exp", "3", 0.1)]
    assert parse_edits(" ") == []


def test_an_edit_is_written_as_the_triple_that_reads_back() -> None:
    edits = parse_edits("shape 3 0.1 global_pose yaw -12.345678901234567 cam scale 1e-30")
    assert parse_edits(" ".join(map(str, edits))) == edits


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shape 0 1 nose 0 1", "'nose 0 1': no parameter 'nose', choose from shape, exp, global_pose, "),
        ("shape 100 1", "'shape 100 1': shape has no part '100', choose from 0 to 99"),
        ("exp 50 1", "'exp 50 1': exp has no part '50', choose from 0 to 49"),
        ("exp -1 1", "'exp -1 1': exp has no part '-1'"),
        ("exp yaw 1", "'exp yaw 1': exp has no part 'yaw'"),
        ("jaw_pose tilt 1", "'jaw_pose tilt 1': jaw_pose has no part 'tilt', choose from yaw, pitch, roll"),
        ("cam x 1", "'cam x 1': cam has no part 'x', choose from scale, tx, ty"),
        ("shape 0 2.01", "'shape 0 2.01': a value of shape lies between -2 and 2"),
        ("exp 0 nan", "'exp 0 nan': a value of exp lies between -2 and 2"),
        ("global_pose yaw inf", "'global_pose yaw inf': a value of global_pose lies between "),
        ("cam scale 1e39", "'cam scale 1e39': a value of cam lies between -1e+06 and 1e+06"),
        ("shape 0 1,5", "'shape 0 1,5': '1,5' is no number"),
        ("shape 0 1 exp 0", "'exp 0': an edit has three words: name, part, value"),
        ("reset", "'reset': an edit has three words: name, part, value"),
    ],
)
def test_a_bad_triple_is_named_in_one_line(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as error:
        parse_edits(line)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PARAMETERS)
def test_limits_themselves_are_within_range(name: str) -> None:
    parameter = PARAMETERS[name]
    for value in (-parameter.limit, parameter.limit):
        codes = apply_edits(drawn_codes(1), [Edit(name, parameter.parts[-1], value)])
        assert torch.isfinite(codes.flat()).all()


def test_acts_follow_one_another_in_the_whole_animation() -> None:
    codes = drawn_codes(1)
    acts = [preset_animation(codes, act).flat() for act in PRESET_ACTS]
    assert [len(act) for act in acts] == [160, 160, 480, 480]
    assert torch.equal(preset_animation(codes).flat(), torch.cat(acts))


@pytest.mark.parametrize("act", PRESET_ACTS)
def test_an_act_moves_one_parameter_and_ends_where_it_began(act: str) -> None:
    codes = drawn_codes(1)
    frames = preset_animation(codes, act)
    parameter = PARAMETERS[PRESET_ACTS[act][0]]
    columns = list(range(parameter.first, parameter.first + len(parameter.parts)))
    assert changed(codes, frames) == {parameter.field: columns}
    torch.testing.assert_close(frames.flat()[-1:], codes.flat(), rtol=0, atol=1e-6)


def test_each_angle_reaches_fifteen_degrees_to_both_sides() -> None:
    codes = drawn_codes(1)
    start = axis_angle_to_degrees(codes.pose[:, :3])
    turned = axis_angle_to_degrees(preset_animation(codes, "pose").pose[:, :3]) - start
    farthest = turned[[39, 119, 199, 279, 359, 439]]
    expected = torch.tensor([[-15.0, 0, 0], [15, 0, 0], [0, -15, 0], [0, 15, 0], [0, 0, -15], [0, 0, 15]])
    torch.testing.assert_close(farthest, expected, rtol=0, atol=1e-4)


def test_an_unknown_preset_is_told_the_choices() -> None:
    with pytest.raises(ValueError, match="no preset 'eyes', choose from all, shape, exp, jaw, pose"):
        preset_animation(drawn_codes(1), "eyes")


def test_several_faces_are_not_animated() -> None:
    with pytest.raises(ValueError, match="animates one face, got codes of 2"):
        preset_animation(drawn_codes(2))
