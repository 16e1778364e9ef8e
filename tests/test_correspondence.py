"""MediaPipe's points on heads that only know the 68: on the generic head bent into another, and on FLAME's template."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fit_deca.correspondence import mediapipe_correspondence, on_mesh
from fit_deca.errors import FaceModelError
from fit_deca.head import load_generic_head
from fit_deca.model_file import FaceModel, load_landmark_embedding
from pipeline.crop import LANDMARKS_68
from pipeline.face_models import FOLDER, open_face_model


@pytest.fixture(scope="module")
def generic() -> FaceModel:
    return load_generic_head()


def another_head(generic: FaceModel) -> FaceModel:
    """The generic head with another shape, turned, moved, twice as large; it knows only the 68."""
    shape = np.random.default_rng(0).normal(size=100)
    vertices = 2 * (generic.v_template + generic.shapedirs[..., :100] @ shape)
    turn = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
    return replace(generic, name="other", v_template=(vertices @ turn.T + [1, 2, 3]).astype(np.float32), mediapipe=None)


def test_points_are_found_again_on_another_head(generic: FaceModel) -> None:
    other = another_head(generic)
    expected = on_mesh(replace(other, mediapipe=generic.mediapipe), generic.mediapipe)  # type: ignore[arg-type]
    distance = np.linalg.norm(on_mesh(other, mediapipe_correspondence(other, generic)) - expected, axis=1)
    face = np.ptp(expected, axis=0).max()
    assert np.median(distance) < 0.01 * face
    assert np.quantile(distance, 0.95) < 0.03 * face


def test_weights_are_inside_their_faces(generic: FaceModel) -> None:
    found = mediapipe_correspondence(another_head(generic), generic)
    assert found.bary.min() >= 0
    np.testing.assert_allclose(found.bary.sum(1), 1, atol=1e-6)


def test_irises_lie_on_their_own_eyeballs(generic: FaceModel) -> None:
    found = mediapipe_correspondence(another_head(generic), generic)
    for joint, iris in ((4, slice(468, 473)), (3, slice(473, 478))):
        assert (generic.weights[generic.faces[found.faces[iris]], joint] > 0.5).all()
    assert (generic.weights[generic.faces[found.faces[:468]], 3:] < 0.5).any(1).all()


def test_a_head_without_the_68_is_refused(generic: FaceModel) -> None:
    with pytest.raises(FaceModelError, match="take the 68"):
        mediapipe_correspondence(replace(generic, landmarks=None, mediapipe=None), generic)


def test_points_are_kept_for_the_next_time_and_found_anew_where_damaged(
    generic: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fit_deca.model_file import save_npz

    monkeypatch.setenv("GDPW_ASSETS", str(tmp_path / "assets"))
    save_npz(another_head(generic), tmp_path / "other.npz")
    first = open_face_model(tmp_path / "other.npz").mediapipe
    (kept,) = (tmp_path / "assets" / FOLDER).iterdir()
    assert first is not None
    np.savez(kept, faces=first.faces[::-1], bary=first.bary)  # told from what would be found
    again = open_face_model(tmp_path / "other.npz").mediapipe
    assert again is not None
    np.testing.assert_array_equal(again.faces, first.faces[::-1])
    kept.write_bytes(b"damaged")
    anew = open_face_model(tmp_path / "other.npz").mediapipe
    assert anew is not None
    np.testing.assert_array_equal(anew.faces, first.faces)


def test_flames_template_is_marked_where_its_landmarks_are(generic: FaceModel, shared: Path) -> None:
    folder = shared / "flame_public"
    lines = (folder / "head_template.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], np.float32)
    faces = np.array([[int(c.split("/")[0]) - 1 for c in line.split()[1:4]] for line in lines if line[:2] == "f "])
    flame = replace(
        generic,
        name="flame",
        v_template=vertices,
        faces=faces,
        weights=_eyes_by_component(vertices, faces),
        landmarks=load_landmark_embedding(folder / "landmark_embedding.npy"),
        mediapipe=None,
    )
    found = on_mesh(flame, mediapipe_correspondence(flame, generic))
    assert flame.landmarks is not None
    astray = np.linalg.norm(found[list(LANDMARKS_68)] - on_mesh(flame, flame.landmarks.full), axis=1)
    assert astray[17:].max() < 1.5e-3  # metres
    assert astray.max() < 3e-3
    mirrored = found[:468] * [-1, 1, 1]
    nearest = np.linalg.norm(mirrored[:, None] - found[None, :468], axis=2).min(1)
    assert np.median(nearest) < 1e-3


def _eyes_by_component(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Skinning weights that give the two small parts of the mesh to the eyes' joints."""
    from scipy import sparse

    edges = sparse.coo_matrix((np.ones(faces.size), (faces.ravel(), np.roll(faces, 1, 1).ravel())), [len(vertices)] * 2)
    _, part = sparse.csgraph.connected_components(edges, directed=False)
    weights = np.eye(5, dtype=np.float32)[np.ones(len(vertices), int)]
    for number in np.flatnonzero(np.bincount(part) < 1000):
        weights[part == number] = np.eye(5)[3 if vertices[part == number, 0].mean() > 0 else 4]
    return weights
