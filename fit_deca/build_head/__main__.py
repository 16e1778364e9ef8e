"""Build the generic head: python -m fit_deca.build_head FACE_LANDMARKER.task OUT.npz"""

from __future__ import annotations

import argparse
import sys

from fit_deca.build_head import build_head
from fit_deca.errors import FaceModelError
from fit_deca.model_file import save_npz


def main() -> str | None:
    parser = argparse.ArgumentParser(prog="python -m fit_deca.build_head", description="Build the generic head.")
    parser.add_argument("task_file", help="MediaPipe's face_landmarker.task, which holds the canonical face")
    parser.add_argument("out", help="the .npz to write")
    arguments = parser.parse_args()
    try:
        save_npz(build_head(arguments.task_file), arguments.out)
    except (FaceModelError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
