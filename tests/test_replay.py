"""Replay: what a clip's frames are read from, the first time and again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.errors import InputError, Reason
from pipeline.records import Clip, Frame
from pipeline.replay import Replay
from pipeline.sources import clip_of

CLIP = clip_of("clip.mp4")
PICTURE = np.zeros((4, 4, 3), np.uint8)


class Decoding:
    """Frames 2 to 9, then a damage; notes which of them were decoded."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def __call__(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        for number in range(max(first, 2), 10):
            self.decoded.append(number)
            yield Frame(number=number, time=number / 25, image=PICTURE)
        raise InputError(Reason.TRUNCATED, f"{clip.path}: damaged")


def numbers(frames: Iterator[Frame], count: int = 100) -> list[int]:
    """Of so many frames at most, or of those before the damage."""
    found: list[int] = []
    try:
        for frame in frames:
            found.append(frame.number)
            if len(found) == count:
                break
    except InputError:
        pass
    return found


def test_frames_that_fit_are_decoded_once() -> None:
    decoding = Decoding()
    replay = Replay(decoding)
    assert numbers(replay(CLIP)) == list(range(2, 10))
    assert numbers(replay(CLIP, 4), 6) == list(range(4, 10))
    assert decoding.decoded == list(range(2, 10))


def test_what_does_not_fit_is_decoded_again() -> None:
    decoding = Decoding()
    replay = Replay(decoding, most_bytes=3 * PICTURE.nbytes + 1)
    assert numbers(replay(CLIP)) == list(range(2, 10))
    decoding.decoded.clear()
    assert numbers(replay(CLIP, 3)) == list(range(3, 10))
    assert decoding.decoded == list(range(5, 10))
    assert numbers(replay(CLIP, 7), 1) == [7]


def test_a_reading_that_was_left_goes_on_where_it_ended() -> None:
    decoding = Decoding()
    replay = Replay(decoding)
    assert numbers(replay(CLIP), 3) == [2, 3, 4]
    assert numbers(replay(CLIP)) == list(range(2, 10))
    assert decoding.decoded == list(range(2, 10))


def test_damage_is_met_again() -> None:
    replay = Replay(Decoding())
    numbers(replay(CLIP))
    with pytest.raises(InputError, match="damaged"):
        list(replay(CLIP, 9))


def test_the_next_clip_is_read_anew() -> None:
    decoding = Decoding()
    replay = Replay(decoding)
    numbers(replay(CLIP))
    replay.forget()
    assert numbers(replay(clip_of("other.mp4"))) == list(range(2, 10))
    assert decoding.decoded == 2 * list(range(2, 10))
