"""FLAME on a head of twelve vertices, and its file on disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from toy_flame import (
    CHIN,
    JAW,
    LEFT_CHEEK,
    LEFT_PUPIL,
    LIFTED_BY_EXPRESSION,
    LIFTED_BY_SHAPE,
    PLACES,
    RIGHT_CHEEK,
    RIGHT_PUPIL,
    ROOT,
    THROAT,
    toy_arrays,
    toy_landmarks,
    toy_model,
    write_pickle,
)

from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.errors import FaceModelError
from fit_deca.flame import Flame
from fit_deca.model_file import face_model_from_arrays, load_face_model, load_landmark_embedding, save_npz
from fit_deca.normals import vertex_normals
from fit_deca.rotation import axis_angle_to_matrix, matrix_to_axis_angle

QUARTER = math.pi / 2
REST = torch.tensor(list(PLACES.values()), dtype=torch.float32)


def codes(**entries: dict[int, float]) -> Codes:
    """Neutral codes but for the entries named, as in codes(pose={3: 1.5})."""
    neutral = {name: torch.zeros(1, size) for name, size in CODE_SIZES.items()}
    for name, values in entries.items():
        for column, value in values.items():
            neutral[name][0, column] = value
    return Codes(**neutral)


def mesh(**entries: dict[int, float]) -> Tensor:
    return Flame(toy_model())(codes(**entries))[0]


def assert_moved(vertices: Tensor, places: dict[int, tuple[float, float, float]]) -> None:
    """These vertices are where they should be, the others where they rest."""
    expected = REST.clone()
    for vertex, place in places.items():
        expected[vertex] = torch.tensor(place)
    torch.testing.assert_close(vertices, expected, rtol=0, atol=1e-6)


def test_neutral_codes_give_the_template() -> None:
    assert_moved(mesh(), {})


def test_jaw_opens_about_its_joint_takes_half_the_throat_along_and_acts_as_its_corrective_says() -> None:
    assert_moved(mesh(pose={3: QUARTER}), {CHIN: (0, 2, 0), THROAT: (0, 2, 0), RIGHT_CHEEK: (-2, 3, 1)})


def test_each_eye_follows_its_own_three_numbers() -> None:
    assert_moved(mesh(eyes={1: QUARTER}), {LEFT_PUPIL: (2, 4, 0)})
    assert_moved(mesh(eyes={4: QUARTER}), {RIGHT_PUPIL: (0, 4, 0)})


def test_head_turns_about_its_root_and_not_about_the_origin() -> None:
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    expected = (REST - REST[ROOT]) @ turn.T + REST[ROOT]
    torch.testing.assert_close(mesh(pose={2: QUARTER}), expected, rtol=0, atol=1e-6)


def test_jaw_opens_within_the_turned_head() -> None:
    """The opened chin lies on the axis of the turn and stays there; the cheek in front comes to the left side."""
    vertices = mesh(pose={1: QUARTER, 3: QUARTER})
    torch.testing.assert_close(vertices[[CHIN, LEFT_CHEEK]], torch.tensor([[0.0, 2, 0], [1, 3, -1]]))


def test_shape_moves_the_joint_about_which_the_jaw_then_opens() -> None:
    assert_moved(
        mesh(shape={LIFTED_BY_SHAPE: 1}, pose={3: QUARTER}),
        {JAW: (0, 4, 0), CHIN: (0, 3, 0), THROAT: (0, 2.5, -0.5), RIGHT_CHEEK: (-2, 3, 1)},
    )


def test_expression_follows_the_shape_components() -> None:
    assert_moved(mesh(expression={LIFTED_BY_EXPRESSION: 2}), {LEFT_CHEEK: (1, 5, 1)})


def random_codes(batch: int) -> Codes:
    numbers = torch.Generator().manual_seed(0)
    return Codes.from_flat(torch.randn(batch, sum(CODE_SIZES.values()), generator=numbers, dtype=torch.float64))


def test_frames_of_a_batch_do_not_touch_one_another() -> None:
    flame, batch = Flame(toy_model()).double(), random_codes(3)
    alone = torch.cat([flame(Codes(*(code[i : i + 1] for code in batch))) for i in range(3)])
    torch.testing.assert_close(flame(batch), alone)


def test_one_row_of_shape_serves_the_whole_batch() -> None:
    flame, batch = Flame(toy_model()).double(), random_codes(3)
    repeated = batch._replace(shape=batch.shape[:1].expand(3, -1))
    torch.testing.assert_close(flame(batch._replace(shape=batch.shape[:1])), flame(repeated))


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_gradients_reach_every_code_at_rest_and_in_motion(scale: float) -> None:
    flame = Flame(toy_model()).double()
    inputs = [(scale * code[:, :6]).requires_grad_() for code in random_codes(2)[:4]]

    def vertices(shape: Tensor, expression: Tensor, pose: Tensor, eyes: Tensor) -> Tensor:
        shape, expression = pad(shape, (0, 94)), pad(expression, (0, 44))
        return flame(Codes(shape, expression, pose, eyes, camera=pose[:, :3]))

    assert torch.autograd.gradcheck(vertices, inputs)


def test_landmarks_lie_on_their_faces_and_the_contour_slides_with_the_turn() -> None:
    flame, middle = Flame(toy_model()), [REST[face].mean(0) for face in toy_model().faces]
    vertices = REST.expand(3, -1, -1)
    pose = torch.zeros(3, 6)
    pose[:, 1] = torch.tensor([0.0, 2.0, -1.0]).deg2rad()  # rows 0, 2 and 40 of the table
    landmarks = flame.landmarks_2d(vertices, pose)
    torch.testing.assert_close(landmarks[:, 0], REST[[CHIN, LEFT_CHEEK, THROAT]])
    torch.testing.assert_close(landmarks[:, 17:], middle[0].expand(3, 51, 3))
    torch.testing.assert_close(flame.landmarks_3d(vertices), middle[1].expand(3, 68, 3))
    torch.testing.assert_close(flame.mediapipe_points(vertices), middle[0].expand(3, 478, 3))


def test_a_model_without_landmarks_says_so() -> None:
    flame = Flame(face_model_from_arrays(toy_arrays(), "bare"))
    for landmarks in (flame.landmarks_3d, flame.mediapipe_points, lambda v: flame.landmarks_2d(v, torch.zeros(1, 6))):
        with pytest.raises(FaceModelError, match=r"'bare' comes without the (68|478) landmarks"):
            landmarks(REST[None])


def test_a_checkpoint_holds_nothing_of_the_model() -> None:
    assert not Flame(toy_model()).state_dict()


def test_camera_looks_from_the_front_with_y_down_and_z_away() -> None:
    point, camera = torch.tensor([[[1.0, 2, 3]]]), torch.tensor([[2.0, 0.5, -1]])
    assert project_orthographic(point, camera).tolist() == [[[3, -2, -6]]]


def test_recover_leaves_depth_alone() -> None:
    recover = torch.tensor([[[10.0, 0, 1], [0, 20, 2], [0, 0, 1]]])
    assert apply_recover(torch.tensor([[[1.0, 2, 3]]]), recover).tolist() == [[[11, 42, 3]]]
    assert apply_recover(torch.tensor([[[1.0, 2]]]), recover).tolist() == [[[11, 42]]]


def test_normals_point_out_and_weigh_faces_by_their_areas() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 3], [9, 9, 9]]])
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]))[0]
    torch.testing.assert_close(normals[0], torch.tensor([3.0, 0, 1]) / math.sqrt(10))
    assert normals[1].tolist() == [0, 0, 1]
    assert normals[3].tolist() == [1, 0, 0]
    assert normals[4].tolist() == [0, 0, 0]


@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.6, -0.8, 0)])
def test_half_turns_keep_their_axis(axis: tuple[float, float, float]) -> None:
    half_turn = math.pi * torch.tensor(axis, dtype=torch.float64)
    back = matrix_to_axis_angle(axis_angle_to_matrix(half_turn))
    torch.testing.assert_close(back * (back @ half_turn).sign(), half_turn, rtol=0, atol=1e-6)


def test_turns_past_half_come_back_the_shorter_way() -> None:
    long_way = torch.tensor([0, 1.5 * math.pi, 0])
    torch.testing.assert_close(matrix_to_axis_angle(axis_angle_to_matrix(long_way)), torch.tensor([0, -QUARTER, 0]))


def write_npz(path: Path, arrays: dict[str, NDArray[Any]]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("sparse", [False, True])
def test_plain_pickles_of_any_protocol_equal_the_npz(tmp_path: Path, protocol: int, sparse: bool) -> None:
    arrays: dict[str, Any] = toy_arrays()
    plain = write_npz(tmp_path / "toy.npz", arrays)
    if sparse:
        arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    extra = {"bs_style": "lbs", "bs_type": "lrotmin", "J": None}
    pickled = write_pickle(tmp_path / "toy.pkl", arrays | extra, protocol)
    assert load_face_model(pickled).hash == load_face_model(plain).hash


def test_hash_ignores_format_float_type_order_and_landmarks(tmp_path: Path) -> None:
    arrays = toy_arrays() | {"name": np.array("other")}
    arrays["weights"] = np.asfortranarray(arrays["weights"])
    arrays["v_template"] = arrays["v_template"].astype(np.float32)
    arrays["kintree_table"] = arrays["kintree_table"].astype(np.int32)
    assert load_face_model(write_npz(tmp_path / "other.npz", arrays)).hash == toy_model().hash


def test_hash_sees_the_published_components_that_are_used(tmp_path: Path) -> None:
    arrays = toy_arrays(components=400)
    arrays["shapedirs"][:, :, [100, 299, 350, 399]] = 7
    assert face_model_from_arrays(arrays, "published").hash == toy_model().hash


@pytest.mark.parametrize("name", ["v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights"])
def test_hash_changes_with_one_number(name: str) -> None:
    arrays = toy_arrays()
    arrays[name].flat[-1] += 1
    assert face_model_from_arrays(arrays, "toy").hash != toy_model().hash


def test_a_saved_model_comes_back_and_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_npz(toy_model(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    saved, back = toy_model(), load_face_model(tmp_path / "a.npz")
    assert (back.name, back.hash) == ("toy", saved.hash)
    assert back.landmarks is not None
    assert back.mediapipe is not None
    assert saved.landmarks is not None
    assert saved.mediapipe is not None
    for ours, theirs in (
        (back.landmarks.static, saved.landmarks.static),
        (back.landmarks.dynamic, saved.landmarks.dynamic),
        (back.landmarks.full, saved.landmarks.full),
        (back.mediapipe, saved.mediapipe),
    ):
        np.testing.assert_array_equal(ours.faces, theirs.faces)
        np.testing.assert_array_equal(ours.bary, theirs.bary)


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.pop(name)


def put(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.update({name: value})


FAULTS = {
    "it has no posedirs": drop("posedirs"),
    "it has no static_lmk_faces_idx": drop("static_lmk_faces_idx"),
    "shapedirs has 151 components, expected 400 or 150": put("shapedirs", np.zeros((12, 3, 151))),
    r"weights is \(12, 4\) of float64, expected \(12, 5\) of numbers": put("weights", np.zeros((12, 4))),
    "v_template .* numbers": put("v_template", np.array(["a", "b"])),
    "f names vertex 12, but v_template has 12": put("f", np.array([[0, 1, 12]])),
    "f is empty or has negative numbers": put("f", np.array([[0, 1, -1]])),
    "f is .* of whole numbers": put("f", np.array([[0.0, 1.0, 2.0]])),
    "posedirs has values that are not finite": put("posedirs", np.full((12, 3, 36), np.nan)),
    r"kintree_table has parents \[-1, 0, 1, 2, 1\]": put("kintree_table", np.array([[-1, 0, 1, 2, 1], range(5)])),
    "its landmarks lie on face 3": put("mediapipe_faces_idx", np.full(478, 3)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_a_faulty_model_gives_one_line_with_the_file_and_the_fault(tmp_path: Path, suffix: str, fault: str) -> None:
    arrays: dict[str, Any] = toy_arrays() | toy_landmarks()
    FAULTS[fault](arrays)
    path = tmp_path / f"toy{suffix}"
    (write_pickle if suffix == ".pkl" else write_npz)(path, arrays)
    with pytest.raises(FaceModelError, match=fault) as caught:
        load_face_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", [load_face_model, load_landmark_embedding])
def test_a_missing_file_and_a_folder_give_one_line(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    with pytest.raises(FaceModelError, match=r"none.pkl: cannot be read \(No such file or directory\)$"):
        load(tmp_path / "none.pkl")
    with pytest.raises(FaceModelError, match=r"cannot be read \(Is a directory\)$"):
        load(tmp_path)
