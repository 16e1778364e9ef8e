"""The landmarker's arrays beside the objects that MediaPipe's own interface gives."""

from __future__ import annotations

from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from pipeline.assets import face_landmarker_file
from pipeline.landmarker import FaceLandmarker
from pipeline.pictures import read_picture


def test_points_and_rotation_are_those_of_mediapipe(astronaut: Path) -> None:
    image = read_picture(astronaut)
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(face_landmarker_file())),
        output_facial_transformation_matrixes=True,
    )
    with vision.FaceLandmarker.create_from_options(options) as theirs, FaceLandmarker() as ours:
        found = theirs.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        (face,) = ours(image)
    height, width = image.shape[:2]
    points = [(point.x * width, point.y * height, point.z * width) for point in found.face_landmarks[0]]
    np.testing.assert_allclose(face.landmarks, points, rtol=1e-6)
    turned = face.rotation * np.cbrt(np.linalg.det(found.facial_transformation_matrixes[0][:3, :3]))
    np.testing.assert_allclose(turned, found.facial_transformation_matrixes[0][:3, :3], atol=1e-3)


def test_a_picture_without_a_face_gives_none() -> None:
    with FaceLandmarker() as landmarker:
        assert landmarker(np.zeros((200, 200, 3), np.uint8)) == []
