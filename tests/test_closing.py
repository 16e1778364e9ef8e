"""What holds threads gives them back, however it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.closing import Closing

FORGOTTEN = """
import gc
from pipeline.landmarker import FaceLandmarker

class Holder:
    pass

holder = Holder()
holder.itself, holder.landmarker = holder, FaceLandmarker(video=True)
del holder
gc.collect()
print("went on")
"""


class Door(Closing):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_with_statement_closes_even_when_it_ends_by_an_error() -> None:
    with Door() as door:
        assert not door.closed
    with pytest.raises(ZeroDivisionError), door:
        raise ZeroDivisionError
    assert door.closed == 2


def test_a_landmarker_that_becomes_garbage_with_its_holder_does_not_hang_the_program() -> None:
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", FORGOTTEN], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "went on"


def test_a_landmarker_is_closed_twice_without_harm() -> None:
    from pipeline.landmarker import FaceLandmarker

    landmarker = FaceLandmarker()
    landmarker.close()
    landmarker.close()
