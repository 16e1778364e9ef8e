"""Still pictures of any common kind -> plain RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.atomic import atomic_path
from pipeline.errors import InputError, Reason
from pipeline.storage import locate


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """A still as (H, W, 3) uint8 RGB, upright by its EXIF orientation.

    Gray of 16 bits keeps the upper 8, transparency is laid over white, of an animation the first picture counts.
    Raises InputError: unreadable, truncated (nothing of a broken picture is used).
    """
    path = locate(path)
    if not path.is_file():
        raise InputError(Reason.UNREADABLE, f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise InputError(Reason.UNREADABLE, f"{path}: not a picture of a known format") from None
    except Image.DecompressionBombError:
        raise InputError(Reason.UNREADABLE, f"{path}: too many pixels for a picture") from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise for damaged data
        reason = Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.UNREADABLE
        raise InputError(reason, f"{path}: damaged ({error})") from None


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        return np.repeat((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the suffix, whole or not at all. Raises PipelineError if it cannot."""
    with atomic_path(path) as partial:
        Image.fromarray(image).save(partial, compress_level=1)
