"""Stills of every common kind come out as plain RGB, or are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError, Reason
from pipeline.pictures import read_picture

RED, BLUE = (200, 40, 30), (30, 40, 200)


def two_halves() -> Image.Image:
    """40 wide, 20 high: red left, blue right."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(image[y, x].tolist()) for y, x in ((2, 2), (2, -3), (-3, 2), (-3, -3))]


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "P"])
def test_colours_come_through_png(tmp_path: Path, kind: str) -> None:
    two_halves().convert(kind, palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    image = read_picture(tmp_path / "a.png")
    assert (image.shape, image.dtype) == ((20, 40, 3), np.uint8)
    assert corners(image) == [RED, BLUE, RED, BLUE]


@pytest.mark.parametrize(("suffix", "convert"), [("jpg", "RGB"), ("jpg", "CMYK"), ("webp", "RGB"), ("tif", "CMYK")])
def test_colours_come_through_lossy_and_printing_formats(tmp_path: Path, suffix: str, convert: str) -> None:
    two_halves().convert(convert).save(tmp_path / f"a.{suffix}", quality=95)
    found = np.array(corners(read_picture(tmp_path / f"a.{suffix}")))
    assert np.abs(found - [RED, BLUE, RED, BLUE]).max() <= 12


def test_exif_orientation_turns_the_picture_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    two_halves().save(tmp_path / "a.png", exif=exif)
    assert corners(read_picture(tmp_path / "a.png")) == [RED, RED, BLUE, BLUE]


def test_gray_of_16_bits_keeps_its_upper_8(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[0].tolist() == [[0] * 3, [0] * 3, [1] * 3, [127] * 3, [255] * 3]


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (*RED, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (8, 8), (100, 128)).save(tmp_path / "half.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()
    assert (read_picture(tmp_path / "half.png") == 177).all()


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    two_halves().save(tmp_path / "a.jpg", format="PNG")
    assert corners(read_picture(tmp_path / "a.jpg")) == [RED, BLUE, RED, BLUE]


def cut_in_half(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (cut_in_half, Reason.TRUNCATED),
        (lambda path: path.write_bytes(b""), Reason.UNREADABLE),
        (lambda path: path.write_text("no picture"), Reason.UNREADABLE),
        (lambda path: path.mkdir(), Reason.UNREADABLE),
        (lambda path: None, Reason.UNREADABLE),
    ],
    ids=["cut in half", "empty", "text", "folder", "missing"],
)
def test_what_cannot_be_used_is_named_in_one_line(
    tmp_path: Path, make: Callable[[Path], object], reason: Reason
) -> None:
    path = tmp_path / "face.jpg"
    make(path)
    with pytest.raises(InputError, match=r"face\.jpg: ") as caught:
        read_picture(path)
    assert caught.value.reason is reason
    assert "\n" not in str(caught.value)


def test_portraits_of_other_kinds_are_the_same_person(shared: Path) -> None:
    """One photo as CMYK, palette, gray of 16 bits, WebP and turned by EXIF."""
    straight = read_picture(shared / "hard" / "img_webp.webp").astype(float).mean(2)
    for name in ("img_cmyk.jpg", "img_exif_orientation6.jpg", "img_gray16.png", "img_palette.png"):
        image = read_picture(shared / "hard" / name).astype(float).mean(2)
        assert image.shape[0] > image.shape[1], name
        other = np.asarray(Image.fromarray(straight).resize(image.shape[::-1], Image.Resampling.BOX))
        assert np.corrcoef(other.ravel(), image.ravel())[0, 1] > 0.97, name
