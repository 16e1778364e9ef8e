"""docs/SCALE.md says what `benchmarks/scale_table.py` reckons, and that reckons right."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scale_table import (
    DOCUMENT,
    PRICES,
    SETS,
    Footage,
    bytes_table,
    frame_bytes,
    preprocess_table,
    training_table,
    written,
)


def test_the_document_has_the_tables_that_the_script_makes() -> None:
    text = DOCUMENT.read_text()
    assert written(text) == text, "run python benchmarks/scale_table.py --write"


def test_other_prices_make_other_tables() -> None:
    text = DOCUMENT.read_text()
    assert written(text, prices=replace(PRICES, cpu_hour=1.0)) != text
    assert written(written(text, SETS[:1])) == text


def test_voxceleb2_is_eleven_terabytes_and_codes_alone_halve_them() -> None:
    row = bytes_table(SETS, PRICES)[2]
    assert row[:3] == ("VoxCeleb2", "219.8 million", "11.3 TB")
    assert frame_bytes(("codes",)) / frame_bytes(("vertices", "codes")) == pytest.approx(0.5, abs=0.01)


def test_hours_and_money_worked_by_hand() -> None:
    hour = Footage("a core's hour", clips=500, people=5, frames=round(27.5 * 3600))
    row = preprocess_table((hour,), replace(PRICES, cpu_hour=20.0, spot=0.5))[1]
    assert row[1] == "1"
    assert row[4:6] == ("$20", "$10")
    pairs = Footage("one hour of an H100", clips=1, people=1, frames=round(2 * 164.4 * 3600))
    assert training_table((pairs,), PRICES)[-1][2:] == ("1", "$3.00")


def test_a_document_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="no <!-- table bytes -->"):
        written("# Scale")
