"""The dataset card: what Hugging Face reads of it, and what a person has to know."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from samples import HEAD

from fit_deca.head import load_generic_head
from pipeline.card import write_card
from pipeline.dataset import Dataset, open_dataset, write_description
from pipeline.errors import InputError, Reason
from pipeline.ledger import LedgerRow, ManifestRow, write_manifest
from pipeline.shards import FaceModelStamp

INPUTS = [
    LedgerRow.of("a.mp4", None, tracks=1, frames=1200, seconds=1.0),
    LedgerRow.of("b.mp4", InputError(Reason.NO_FACE, "b.mp4: no face"), tracks=0, frames=0, seconds=1.0),
]


def made(folder: Path, stamp: FaceModelStamp) -> Dataset:
    row = ManifestRow(
        identity="ann",
        video="v",
        clip="c",
        track=0,
        frames=1200,
        shard="shard-000000.tar",
        error_median_px=0.625,
        error_p95_px=2.0,
        jitter_px=0.5,
        split="val",
        numbers=list(range(1200)),
        offsets=list(range(1201)),
    )
    write_manifest([row], folder)
    write_description(folder, stamp, {"crop": {"size": 256}})
    return open_dataset(folder)


@pytest.fixture
def card(tmp_path: Path) -> str:
    return write_card(made(tmp_path / "faces", HEAD), INPUTS, "https://example.org/set `x`").read_text()


def test_the_head_is_what_hugging_face_reads(card: str) -> None:
    _, head, _ = card.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "pretty_name": "faces",
        "license": "other",
        "license_name": "see-source",
        "size_categories": ["1K<n<10K"],
        "tags": ["face", "talking-head", "FLAME", "webdataset"],
        "configs": [{"config_name": "default", "data_files": "shard-*.tar"}],
    }


@pytest.mark.parametrize("heading", ["Source", "Licence", "Consent", "Face model", "How it was made"])
def test_it_has_what_a_person_has_to_know(card: str, heading: str) -> None:
    assert f"\n## {heading}\n" in card


def test_figures_options_and_versions_are_in_it(card: str) -> None:
    assert "| frames | 1,200 |" in card
    assert "| splits, by frames | train 0, val 1,200, test 0 |" in card
    assert "| inputs | 2: 1 used, 1 gave nothing |" in card
    assert "0.62 px" in card
    assert "`https://example.org/set 'x'`" in card
    assert '"size": 256' in card
    assert f"`{HEAD}`" in card
    assert "mediapipe " in card


def test_only_what_is_stored_is_described(tmp_path: Path) -> None:
    made(tmp_path, HEAD)
    write_description(tmp_path, HEAD, {"store": ["codes"]})
    card = write_card(open_dataset(tmp_path), INPUTS, "x").read_text()
    assert "`.codes.npy` the 165 FLAME codes" in card
    assert "vertices" not in card.partition("## Reading it")[2].partition("##")[0]


def test_whose_licence_binds_the_meshes_is_said(tmp_path: Path) -> None:
    own = FaceModelStamp.of(load_generic_head())
    assert "is Apache-2.0" in write_card(made(tmp_path / "own", own), INPUTS, "x").read_text()
    flame = FaceModelStamp(name="FLAME", hash="b" * 64)
    assert "a FLAME model, whose own licence" in write_card(made(tmp_path / "flame", flame), INPUTS, "x").read_text()
