"""The generic head: a closed, symmetric head in FLAME's terms, and its file is what its script makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fit_deca.build_head import build_head
from fit_deca.build_head.canonical_face import read_canonical_face
from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.errors import FaceModelError
from fit_deca.flame import Flame
from fit_deca.head import GENERIC_HEAD_FILE, load_generic_head
from fit_deca.model_file import FaceModel, save_npz

TASK_FILE = Path(__file__).parents[1] / "pipeline" / "data" / "face_landmarker.task"
MIRROR = np.array([-1, 1, 1], np.float32)
LEFT_EYE, RIGHT_EYE = 3, 4


@pytest.fixture(scope="module")
def head() -> FaceModel:
    return load_generic_head()


@pytest.fixture(scope="module")
def flame(head: FaceModel) -> Flame:
    return Flame(head)


@pytest.fixture(scope="module")
def mirror(head: FaceModel) -> NDArray[np.int64]:
    """The vertex nearest to each vertex's mirror image."""
    return cKDTree(head.v_template).query(head.v_template * MIRROR)[1]


def rest(**codes: list[float]) -> Codes:
    """One head at rest but for the leading numbers of some codes."""
    full = {name: torch.zeros(1, size) for name, size in CODE_SIZES.items()}
    for name, numbers in codes.items():
        full[name][0, : len(numbers)] = torch.tensor(numbers)
    return Codes(**full)


def pieces(head: FaceModel) -> NDArray[np.int64]:
    """The connected piece that each vertex belongs to: 0 the head, then two eyeballs."""
    pairs = head.faces[:, [0, 1, 1, 2]].reshape(-1, 2).T
    count = len(head.v_template)
    graph = sparse.csr_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def test_vertices_are_mirrored_exactly(head: FaceModel, mirror: NDArray[np.int64]) -> None:
    assert (head.v_template[mirror] * MIRROR == head.v_template).all()
    assert (mirror[mirror] == np.arange(len(mirror))).all()


def test_faces_are_mirrored(head: FaceModel, mirror: NDArray[np.int64]) -> None:
    def cycles(faces: NDArray[np.int64]) -> set[tuple[int, ...]]:
        return {tuple(np.roll(face, -face.argmin()).tolist()) for face in faces}

    assert cycles(mirror[head.faces[:, ::-1]]) == cycles(head.faces)


def test_components_are_symmetric_or_antisymmetric(head: FaceModel, mirror: NDArray[np.int64]) -> None:
    mirrored = head.shapedirs[mirror] * MIRROR[:, None]
    unlike = np.minimum(
        np.abs(mirrored - head.shapedirs).max(axis=(0, 1)), np.abs(mirrored + head.shapedirs).max(axis=(0, 1))
    )
    assert unlike.max() < 5e-5


def test_only_the_neck_is_open(head: FaceModel) -> None:
    sides = np.stack([head.faces, np.roll(head.faces, -1, axis=1)], axis=2).reshape(-1, 2)
    edges = set(map(tuple, sides.tolist()))
    assert len(edges) == len(sides), "two faces run along an edge in the same direction"
    rim = [edge for edge in edges if edge[::-1] not in edges]
    onward = dict(rim)
    loop = [rim[0][0]]
    while onward[loop[-1]] != loop[0]:
        loop.append(onward[loop[-1]])
    assert len(loop) == len(rim)
    assert head.v_template[loop, 1] == pytest.approx(head.v_template[:, 1].min(), abs=1e-3)


def test_faces_wind_counter_clockwise_seen_from_outside(head: FaceModel) -> None:
    piece = pieces(head)
    assert piece.max() == 2
    for number in range(3):
        corners = head.v_template[head.faces[piece[head.faces[:, 0]] == number]].astype(np.float64)
        corners -= corners.mean(axis=(0, 1))
        assert np.linalg.det(corners).sum() / 6 > 0


def test_triangles_are_no_slivers(head: FaceModel) -> None:
    a, b, c = head.v_template[head.faces].astype(np.float64).transpose(1, 0, 2)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    longest = np.max([np.linalg.norm(p - q, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    assert areas.min() > 1e-8  # a hundredth of a square millimetre
    assert np.percentile(areas / longest**2, 1) > 0.05


def test_neighbours_fold_over_only_at_lids_and_lips(head: FaceModel) -> None:
    a, b, c = head.v_template[head.faces].astype(np.float64).transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sides = np.sort(np.stack([head.faces, np.roll(head.faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    order = np.lexsort(sides.T)
    shared = np.flatnonzero((sides[order[1:]] == sides[order[:-1]]).all(axis=1))
    one, other = order[shared], order[shared + 1]
    folded = (normals[one // 3] * normals[other // 3]).sum(axis=1) < -0.4
    openings = head.v_template[head.faces[head.mediapipe.faces[[33, 133, 362, 263, 61, 291, 13]]]].reshape(-1, 3)
    middles = head.v_template[sides[one[folded]]].mean(axis=1)
    assert cKDTree(openings).query(middles)[0].max() < 0.03


def test_scale_and_place_are_those_of_a_head_in_metres(head: FaceModel) -> None:
    _, _, _, left_eye, right_eye = head.J_regressor @ head.v_template
    assert left_eye[0] - right_eye[0] == pytest.approx(0.063, abs=0.003)
    low, high = head.v_template.min(axis=0), head.v_template.max(axis=0)
    assert high[1] == pytest.approx(0.13, abs=0.01)
    assert low[1] == pytest.approx(-0.155, abs=0.01)
    assert high[0] == pytest.approx(0.085, abs=0.01)
    assert head.v_template[:, 2].argmax() in head.faces[head.mediapipe.faces[4]]  # the tip of the nose


def test_joints_lie_where_a_head_turns(head: FaceModel) -> None:
    joints = head.J_regressor @ head.v_template
    assert head.J_regressor.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(joints[:3, 0]).max() < 1e-6
    assert joints[0, 1] < joints[1, 1] < joints[2, 1] < joints[3, 1]
    piece = pieces(head)
    for joint in (LEFT_EYE, RIGHT_EYE):
        eyeball = head.v_template[piece == piece[head.weights[:, joint].argmax()]]
        assert np.ptp(np.linalg.norm(eyeball - joints[joint], axis=1)) < 1e-5


def test_weights_sum_to_one_and_change_smoothly(head: FaceModel) -> None:
    assert head.weights.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert head.weights.min() >= 0
    ends = head.faces, np.roll(head.faces, -1, axis=1)
    change = np.abs(head.weights[ends[0]] - head.weights[ends[1]]).max(axis=2)
    length = np.linalg.norm(head.v_template[ends[0]] - head.v_template[ends[1]], axis=2)
    assert (change / length).max() < 100  # from 0 to 1 over a centimetre at least


def test_eyeballs_turn_rigidly_and_alone(head: FaceModel, flame: Flame) -> None:
    still, turned = flame(rest())[0].numpy(), flame(rest(eyes=[0.1, 0.3, 0.0]))[0].numpy()
    left = head.weights[:, LEFT_EYE] == 1
    assert left.sum() > 50
    assert np.abs(turned - still)[~left].max() < 1e-6
    assert np.abs(turned - still)[left].max() > 0.003

    def distances(points: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.linalg.norm(points[:, None] - points, axis=2)

    assert np.abs(distances(turned[left]) - distances(still[left])).max() < 1e-6


def test_the_jaw_opens_the_mouth_and_leaves_the_upper_face(flame: Flame) -> None:
    shut = flame.mediapipe_points(flame(rest()))[0]
    wide = flame.mediapipe_points(flame(rest(pose=[0.0, 0.0, 0.0, 0.3])))[0]
    upper_lip, lower_lip = 13, 14
    assert (shut[upper_lip] - shut[lower_lip]).norm() < 0.002
    assert (wide[upper_lip] - wide[lower_lip]).norm() > 0.015
    assert (wide - shut)[[10, 4, 33, 263, 159, 386]].abs().max() < 1e-4


def test_expressions_leave_skull_neck_and_eyeballs_still(head: FaceModel) -> None:
    moved = np.abs(head.shapedirs[:, :, CODE_SIZES["shape"] :]).max(axis=(1, 2))
    _, y, z = head.v_template.T
    assert moved[(z < -0.05) | (y > 0.10) | (y < -0.12)].max() == 0
    assert moved[head.weights[:, [LEFT_EYE, RIGHT_EYE]].any(axis=1)].max() == 0
    lips_and_lids = head.faces[head.mediapipe.faces[[0, 13, 14, 17, 61, 291, 159, 145, 386, 374, 105, 334]]].ravel()
    assert moved[lips_and_lids].min() > 0.001


def test_expressions_do_not_tear_the_face_from_its_rim(head: FaceModel) -> None:
    expression = head.shapedirs[:, :, CODE_SIZES["shape"] :]
    still = np.abs(expression).max(axis=(1, 2)) == 0
    at_rim = still[head.faces].any(axis=1) & ~still[head.faces].all(axis=1)
    at_rim &= pieces(head)[head.faces[:, 0]] == 0
    assert np.abs(expression[head.faces[at_rim]]).max() < 3e-4


def test_components_get_smaller(head: FaceModel) -> None:
    sizes = np.sqrt((head.shapedirs**2).sum(axis=1).mean(axis=0))
    for first, last in ((0, CODE_SIZES["shape"]), (CODE_SIZES["shape"], len(sizes))):
        group = sizes[first:last]
        assert group[:5].mean() > 1.5 * group[len(group) // 2 :].mean()
        assert 0.0004 < group[:5].mean() < 0.005


def test_mediapipe_points_are_the_canonical_face(head: FaceModel) -> None:
    points = (head.v_template[head.faces[head.mediapipe.faces]] * head.mediapipe.bary[..., None]).sum(axis=1)
    canonical, _ = read_canonical_face(TASK_FILE)
    off = np.linalg.norm(points[:468] - canonical, axis=1)
    assert np.median(off) < 0.0005
    assert off.max() < 0.006  # lips closed by the jaw, folds of the lids raised
    assert off[[1, 4, 5, 6, 168, 9, 151, 10, 70, 300, 50, 280, 61]].max() < 0.0035


def test_irises_are_a_centre_and_left_top_right_and_bottom_of_the_eye_that_looks_ahead(flame: Flame) -> None:
    points = flame.mediapipe_points(flame(rest()))[0]
    for first, corners in ((468, (33, 133)), (473, (362, 263))):
        centre, left, top, right, bottom = points[first : first + 5]
        assert left[0] - centre[0] == pytest.approx(0.0059, abs=1e-5)
        assert top[1] - centre[1] == pytest.approx(0.0059, abs=1e-5)
        assert centre[0] - right[0] == pytest.approx(0.0059, abs=1e-5)
        assert centre[1] - bottom[1] == pytest.approx(0.0059, abs=1e-5)
        assert points[corners[0], 0] < centre[0] < points[corners[1], 0]


def test_68_points_go_from_the_right_ear_by_the_chin_to_the_left(flame: Flame) -> None:
    points = flame.landmarks_3d(flame(rest()))[0]
    contour = points[:17]
    assert (contour[1:15, 0].diff() > 0).all()
    assert contour[:, 1].argmin() == 8
    assert points[:, 2].argmax() == 30  # the tip of the nose
    assert points[36:42, 0].max() < 0 < points[42:48, 0].min()
    assert torch.equal(points[[36, 39, 48, 60]] * torch.tensor([-1, 1, 1]), points[[45, 42, 54, 64]])


def test_the_contour_of_a_turned_head_is_its_outline(head: FaceModel, flame: Flame) -> None:
    turned = rest(pose=[0.0, np.radians(35.0)])
    vertices = flame(turned)
    contour = flame.landmarks_2d(vertices, turned.pose)[0, :17]
    fixed = flame.landmarks_3d(vertices)[0, :17]
    assert torch.allclose(contour[:8], fixed[:8], atol=2e-3)
    cheek = contour[14]
    at_its_height = (vertices[0, :, 1] - cheek[1]).abs() < 0.003
    in_front = vertices[0, :, 2] > 0
    assert cheek[0] > fixed[14, 0] + 0.004
    assert cheek[0] > vertices[0, at_its_height & in_front, 0].max() - 0.003


def test_turns_to_either_side_have_mirrored_contours(flame: Flame) -> None:
    def contour(degrees: float) -> torch.Tensor:
        codes = rest(pose=[0.0, np.radians(degrees)])
        return flame.landmarks_2d(flame(codes), codes.pose)[0, :17]

    assert torch.allclose(contour(-25).flip(0) * torch.tensor([-1, 1, 1]), contour(25), atol=1e-3)


def test_the_file_is_small() -> None:
    assert GENERIC_HEAD_FILE.stat().st_size <= 2_000_000


def test_the_script_makes_the_file(head: FaceModel, tmp_path: Path) -> None:
    """Eigensolvers differ in the last digits; whole steps of the components' grain may come of it."""
    built = build_head(TASK_FILE)
    assert np.array_equal(built.faces, head.faces)
    assert np.abs(built.v_template - head.v_template).max() < 1e-6
    assert np.abs(built.shapedirs - head.shapedirs).max() < 1e-4
    assert np.abs(built.weights - head.weights).max() < 1e-5
    assert np.abs(built.J_regressor - head.J_regressor).max() < 1e-5
    assert built.landmarks is not None
    assert head.landmarks is not None
    for ours, theirs in ((built.mediapipe, head.mediapipe), (built.landmarks.full, head.landmarks.full)):
        assert np.array_equal(ours.faces, theirs.faces)
        assert np.array_equal(ours.bary, theirs.bary)
    save_npz(built, tmp_path / "a.npz")
    save_npz(built, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_without_the_canonical_face_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "some.task").write_bytes(TASK_FILE.read_bytes()[:1000])
    with pytest.raises(FaceModelError, match=r"some\.task: holds no canonical face mesh"):
        read_canonical_face(tmp_path / "some.task")
