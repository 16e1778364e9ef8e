"""A portrait under edits: the mesh is FLAME's, states come and go, files hold what is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from toy_flame import CHIN, JAW, LEFT_PUPIL, LIFTED_BY_SHAPE, RIGHT_CHEEK, THROAT
from toy_session import FLAME, HEAD, RECOVER, SCALE, SIZE, RemembersMeshes, toy_session, toy_source

from fit_deca.camera import project_orthographic
from fit_deca.editing import apply_edits, parse_edits, preset_animation
from pipeline.edit_file import read_performance
from pipeline.edit_session import DrawEdits, EditSession
from pipeline.errors import PipelineError
from pipeline.render import Stage, Take, retarget


@pytest.fixture
def model() -> RemembersMeshes:
    return RemembersMeshes()


@pytest.fixture
def source() -> Take:
    return toy_source()


@pytest.fixture
def session(model: RemembersMeshes) -> EditSession:
    return toy_session(model)


def edit(session: EditSession, line: str, *, amend: bool = False) -> None:
    session.apply(parse_edits(line), amend=amend)


def test_the_mesh_after_an_edit_is_flames(session: EditSession, model: RemembersMeshes, source: Take) -> None:
    line = f"shape {LIFTED_BY_SHAPE} 1.5 exp 3 -1 global_pose yaw -10 jaw_pose pitch 5 leye_pose yaw 20 cam scale 0.1"
    edit(session, line)
    session.panels()
    codes = apply_edits(source.codes, parse_edits(line))
    plane = project_orthographic(FLAME(codes), codes.camera)[0]  # -1..1 over the whole picture: NDC
    torch.testing.assert_close(model.driving[0][:, :2], plane[:, :2])
    torch.testing.assert_close(model.driving[0][:, 2], plane[:, 2] * SIZE / 2)


def test_without_an_edit_the_mesh_is_the_sources(session: EditSession, model: RemembersMeshes) -> None:
    session.panels()
    torch.testing.assert_close(model.driving[0], model.source)


def test_shape_jaw_and_eyes_move_their_own_vertices(session: EditSession, model: RemembersMeshes) -> None:
    for line, vertices in (
        (f"shape {LIFTED_BY_SHAPE} 1", {JAW, CHIN}),
        ("jaw_pose pitch 10", {CHIN, THROAT, RIGHT_CHEEK}),  # the cheek by its corrective
        ("leye_pose yaw 20", {LEFT_PUPIL}),
    ):
        session.reset()
        edit(session, line)
        session.panels()
        moved = (model.driving[-1] - model.source).abs().amax(1) > 1e-4
        assert set(moved.nonzero().flatten().tolist()) == vertices, line


def test_panels_are_four_pictures_side_by_side(session: EditSession, source: Take, tmp_path: Path) -> None:
    edit(session, "global_pose yaw 40")
    panels = session.panels()
    assert (panels.source == source.images[0]).all()
    assert (panels.result == source.images[0]).all()  # what this model returns
    assert panels.source_mesh.any()
    assert (panels.source_mesh != panels.result_mesh).any()
    session.write_picture(tmp_path / "out.jpg")
    picture = simplejpeg.decode_jpeg((tmp_path / "out.jpg").read_bytes())
    assert picture.shape == (SIZE, 4 * SIZE, 3)
    assert np.abs(picture.astype(int) - panels.side_by_side()).mean() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


def test_on_a_wider_stage_the_model_sees_it_and_the_result_is_the_square(source: Take, model: RemembersMeshes) -> None:
    wide = replace(
        source,
        images=np.pad(source.images, ((0, 0), (4, 4), (4, 4), (0, 0)), "reflect"),
        recover=source.recover + np.array([[0, 0, 4], [0, 0, 4], [0, 0, 0]]),
        vertices=source.vertices + np.float32([4, 4, 0]),
    )
    codes = apply_edits(source.codes, parse_edits("global_pose yaw 20"))
    change = np.array([[1.0, 0, 4], [0, 1, 4], [0, 0, 1]])
    (panels,) = DrawEdits(source, FLAME, model, Stage(take=wide, shown=SIZE, change=change))(codes)
    assert (panels.result == source.images[0]).all()
    pixels = retarget(FLAME, codes, codes, RECOVER[None])[0] + torch.tensor([4, 4, 0])
    torch.testing.assert_close((model.driving[0][:, :2] + 1) / 2 * (SIZE + 8), pixels[:, :2])
    torch.testing.assert_close(model.driving[0][:, 2], pixels[:, 2])


def test_rows_beyond_a_batch_come_in_order(source: Take, model: RemembersMeshes) -> None:
    codes = preset_animation(source.codes, "jaw")
    assert len(list(DrawEdits(source, FLAME, model, batch=7)(codes))) == 480
    expected = retarget(FLAME, codes, codes, RECOVER.expand(480, 3, 3))
    torch.testing.assert_close(torch.stack(model.driving)[..., 2], expected[..., 2])


def scales(session: EditSession) -> float:
    return round(session.codes.camera[0, 0].item(), 6)


def test_changes_are_undone_and_redone_in_order(session: EditSession) -> None:
    edit(session, "cam scale 1")
    edit(session, "cam scale 2")
    session.reset()
    seen = [scales(session)]
    for step in (session.undo, session.undo, session.undo, session.redo, session.redo, session.redo):
        step()
        seen.append(scales(session))
    assert seen == [SCALE, 2, 1, SCALE, 1, 2, SCALE]


def test_nothing_to_undo_or_redo_is_said_and_changes_nothing(session: EditSession) -> None:
    assert (session.can_undo, session.can_redo) == (False, False)
    with pytest.raises(PipelineError, match="nothing to undo"):
        session.undo()
    with pytest.raises(PipelineError, match="nothing to redo"):
        session.redo()
    assert scales(session) == SCALE


def test_a_change_after_undo_takes_the_place_of_what_was_undone(session: EditSession) -> None:
    edit(session, "cam scale 1")
    edit(session, "cam scale 2")
    session.undo()
    edit(session, "cam scale 3")
    assert not session.can_redo
    session.undo()
    assert scales(session) == 1


def test_an_amended_change_is_undone_as_one_and_keeps_what_came_before(session: EditSession) -> None:
    edit(session, "cam tx 7")
    edit(session, "cam scale 1")
    edit(session, "cam scale 2", amend=True)
    edit(session, "cam scale 3", amend=True)
    assert (scales(session), session.codes.camera[0, 1]) == (3, 7)
    session.undo()
    assert (scales(session), session.codes.camera[0, 1]) == (SCALE, 7)


def test_amending_at_the_start_is_a_change(session: EditSession) -> None:
    edit(session, "cam scale 1", amend=True)
    session.undo()
    assert scales(session) == SCALE


def test_saved_codes_come_back_as_one_change(session: EditSession, tmp_path: Path) -> None:
    edit(session, "cam scale 3 exp 0 1")
    wanted = session.codes.flat()
    session.save(tmp_path / "codes.npz")
    session.reset()
    session.load(tmp_path / "codes.npz")
    assert torch.equal(session.codes.flat(), wanted)
    session.undo()
    assert scales(session) == SCALE


def test_a_saved_animation_drives_and_is_not_loaded(session: EditSession, tmp_path: Path) -> None:
    frames = preset_animation(session.codes, "exp")
    session.save(tmp_path / "codes.npz", frames)
    performance = read_performance(tmp_path / "codes.npz", HEAD)
    assert torch.equal(performance.codes.flat(), frames.flat())
    np.testing.assert_allclose(np.diff(performance.times), 0.04)
    with pytest.raises(PipelineError, match=r"codes\.npz: holds 160 frames"):
        session.load(tmp_path / "codes.npz")
    assert not session.can_undo


def test_codes_of_another_face_model_are_not_loaded(session: EditSession, tmp_path: Path) -> None:
    session.save(tmp_path / "codes.npz")
    other = EditSession(session.draw, replace(HEAD, hash="b" * 64))
    with pytest.raises(PipelineError, match="made with the face model toy"):
        other.load(tmp_path / "codes.npz")
    assert not other.can_undo
