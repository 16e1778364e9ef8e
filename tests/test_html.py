"""Pages: whatever goes in is text, pictures lie inside, nothing is fetched."""

from __future__ import annotations

import base64
import re

import numpy as np
import simplejpeg

from pipeline.html import Picture, charts, histogram, page, paragraph, section, strip, table


def test_text_is_never_markup() -> None:
    evil = "<script>&\"'"
    picture = np.zeros((8, 8, 3), np.uint8)
    blocks = (
        *(section(evil), paragraph(evil), table([evil], [[evil]])),
        *(strip([Picture(picture, evil)]), histogram([1, 2], evil), histogram([], evil)),
    )
    document = page(evil, *blocks)
    assert "<script>" not in document
    assert document.count("&lt;script&gt;&amp;") == 9


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    made = table(["name", "frames"], [["ann", 12345], ["bob", 2]])
    assert '<td>ann</td><td class="number">12,345</td>' in made


def test_a_histogram_counts_every_finite_value() -> None:
    made = histogram([0.0, 0.1, 1.0, np.nan, np.inf], "error", bins=2)
    assert re.findall(r"<title>(.*?)</title>", made) == ["0 to 0.5: 2", "0.5 to 1: 1"]
    heights = [float(height) for height in re.findall(r'class="bar".*?height="(.*?)"', made)]
    assert heights[0] == 2 * heights[1] > 0
    assert "3 values" in made


def test_equal_values_make_a_histogram_too() -> None:
    assert histogram([2.0, 2.0], "same", bins=3).count("<rect") == 3


def test_pictures_lie_inside_the_page() -> None:
    image = np.full((16, 24, 3), (200, 60, 10), np.uint8)
    (data,) = re.findall(r'src="data:image/jpeg;base64,(.*?)"', strip([Picture(image, "one")]))
    again = simplejpeg.decode_jpeg(base64.b64decode(data), colorspace="RGB")
    assert again.shape == image.shape
    assert np.abs(again.astype(int) - image).max() < 8


def test_nothing_is_fetched() -> None:
    document = page("t", charts(histogram([1, 2, 3], "x")), table(["a"], [[1]]))
    assert not re.search(r"https?:|src=\"(?!data:)|url\(|@import", document)
