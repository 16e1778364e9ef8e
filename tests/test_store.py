"""Datasets with only one of vertices and codes: smaller, and whoever needs the other one says so in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from click.testing import CliRunner
from synthetic_dataset import MadeTrack, write_dataset

from jobs.cli import cli
from jobs.export_folders import ExportFoldersConfig
from jobs.export_folders import run as export_folders
from jobs.inspect import InspectConfig
from jobs.inspect import run as inspect
from jobs.preprocess import PreprocessConfig
from pipeline.dataset import Dataset, open_dataset
from pipeline.driving import stored_driving
from pipeline.errors import PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.ledger import LedgerRow, write_ledger
from pipeline.loader import LoaderConfig, PairLoader
from pipeline.portrait import read_portrait
from pipeline.stream import PairStream, StreamConfig
from pipeline.tracks import FindTracks, TrackConfig

ANN = MadeTrack("ann", frames=6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same dataset with both arrays, and with one of them."""
    root = tmp_path_factory.mktemp("store")
    return {
        "both": write_dataset(root / "both", [ANN]),
        "codes": write_dataset(root / "codes", [ANN], store=("codes",)),
        "vertices": write_dataset(root / "vertices", [ANN], store=("vertices",)),
    }


@pytest.fixture(scope="module")
def fit_track() -> FitTrack:
    return FitTrack(FitConfig(fitter="landmarks"))


def members(folder: Path) -> set[str]:
    (sample, *_) = webdataset.WebDataset(str(folder / "shard-000000.tar"), shardshuffle=False).decode()
    return {name for name in sample if not name.startswith("__")} | set(sample["json"])


def test_what_is_not_stored_has_neither_a_member_nor_a_word(folders: dict[str, Path]) -> None:
    both = members(folders["both"])
    assert both - members(folders["codes"]) == {"vertices.npy", "vertices_scale"}
    assert both - members(folders["vertices"]) == {"codes.npy", "codes"}


def test_codes_alone_save_the_mesh(folders: dict[str, Path]) -> None:
    """A mesh of 4,077 vertices has 24 kB."""
    sizes = {name: (folder / "shard-000000.tar").stat().st_size for name, folder in folders.items()}
    assert sizes["both"] - sizes["codes"] > ANN.frames * 4077 * 3 * 2
    assert sizes["codes"] < sizes["vertices"]


def portrait(folder: Path, fit_track: FitTrack) -> np.ndarray:
    with FindTracks(TrackConfig()) as find_tracks:
        return read_portrait(f"{folder}::ann/video/clip", find_tracks, fit_track, 64).take.vertices


def test_a_portrait_gets_the_mesh_that_its_codes_mean(folders: dict[str, Path], fit_track: FitTrack) -> None:
    stored, worked_out = (portrait(folders[name], fit_track) for name in ("both", "codes"))
    np.testing.assert_allclose(worked_out, stored, atol=0.02)


def test_a_driver_needs_its_codes_alone(folders: dict[str, Path]) -> None:
    both, codes = (open_dataset(folders[name]) for name in ("both", "codes"))
    one, other = (stored_driving(dataset, dataset.tracks, 64).takes[0].codes for dataset in (both, codes))
    np.testing.assert_array_equal(one.flat(), other.flat())


def refused(folder: Path, missing: str) -> Any:
    return pytest.raises(PipelineError, match=rf"{folder.name}: stored without {missing}; .* --store vertices,codes$")


def test_faces_without_codes_neither_drive_nor_are_driven(folders: dict[str, Path], fit_track: FitTrack) -> None:
    dataset = open_dataset(folders["vertices"])
    with refused(dataset.folder, "codes"):
        stored_driving(dataset, dataset.tracks, 64)
    with refused(dataset.folder, "codes"):
        portrait(dataset.folder, fit_track)


def test_training_needs_vertices_alone(folders: dict[str, Path]) -> None:
    config = LoaderConfig(batch_size=2, size=64, workers=1)
    one, other = (PairLoader(open_dataset(folders[name]), config).read(0) for name in ("both", "vertices"))
    np.testing.assert_array_equal(one.driving_vertices, other.driving_vertices)


def test_training_and_export_refuse_a_dataset_without_vertices(folders: dict[str, Path], tmp_path: Path) -> None:
    dataset = open_dataset(folders["codes"])
    with refused(dataset.folder, "vertices"):
        PairLoader(dataset, LoaderConfig(batch_size=2))
    with refused(dataset.folder, "vertices"):
        PairStream(dataset, LoaderConfig(batch_size=2), StreamConfig(streams=1))
    with refused(dataset.folder, "vertices"):
        export_folders(ExportFoldersConfig(dataset=dataset.folder, out=tmp_path / "out"))


@pytest.mark.parametrize("name", ["codes", "vertices"])
def test_such_a_dataset_is_inspected(folders: dict[str, Path], name: str) -> None:
    write_ledger([LedgerRow.of("ann.mp4", None, tracks=1, frames=6, seconds=1.0)], folders[name])
    said = inspect(InspectConfig(dataset=folders[name]))
    page = (folders[name] / "report.html").read_text()
    assert ("meshes are not" in page) == (name == "codes")
    assert bool(re.search(r"yaw +no degrees", said)) == (name == "vertices")


def test_a_sample_without_codes_says_so(folders: dict[str, Path]) -> None:
    dataset: Dataset = open_dataset(folders["vertices"])
    sample = dataset.read_sample(dataset.tracks[0], 0)
    assert sample.vertices.shape == (4077, 3)
    with pytest.raises(PipelineError, match="ann/video/clip/0/000000: stored without codes"):
        print(sample.codes)


@pytest.mark.parametrize("store", [(), ("codes", "vertices"), ("codes", "codes"), ("light",)])
def test_other_names_are_refused(store: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="store must be some of vertices, codes"):
        PreprocessConfig(input=Path("a.mp4"), out=Path("out"), store=store)


def test_the_command_names_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    said = CliRunner().invoke(cli, ["preprocess", str(tmp_path / "a.mp4"), str(tmp_path / "out"), "--store", "mesh"])
    assert said.exit_code == 2
    assert "'mesh' is none of vertices, codes" in said.output
