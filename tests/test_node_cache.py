"""Files of others on a worker's machine: one copy a machine, the right one, and nothing of them in a pickle."""

from __future__ import annotations

import hashlib
import logging
import pickle
import pickletools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from toy_flame import toy_arrays, write_pickle

from fit_deca.model_file import load_face_model
from jobs.preprocess import PreprocessConfig, stage
from jobs.recipe import Recipe
from jobs.train_worker import TrainTask
from pipeline.catalogue import CATALOGUE
from pipeline.errors import PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.models import ModelConfig
from pipeline.node_cache import local_copy

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shared/model.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GDPW_NODE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def copies(cache: Path) -> list[Path]:
    return sorted(path.relative_to(cache) for path in cache.rglob("*.pth"))


def test_where_no_copy_is_asked_for_a_file_is_read_in_its_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDPW_NODE_CACHE", raising=False)
    assert local_copy(file) == file


def test_all_who_want_a_file_at_once_get_the_one_copy(
    file: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(local_copy, [file] * 8))
    assert paths == {cache / DIGEST / "model.pth"}
    assert paths.pop().read_bytes() == CONTENT
    assert [record.getMessage() for record in caplog.records] == [f"{file}: copied to {cache / DIGEST / 'model.pth'}"]


def test_what_a_killed_process_left_is_swept_away(file: Path, cache: Path) -> None:
    local_copy(file)
    (arriving,) = (cache / "arriving").iterdir()
    (arriving / ".model.0.partial.pth").touch()
    (cache / DIGEST / "model.pth").unlink()
    local_copy(file)
    assert copies(cache) == [Path(DIGEST, "model.pth")]


def test_a_file_that_changed_is_copied_anew_and_equal_ones_lie_once(file: Path, cache: Path) -> None:
    local_copy(file)
    twin = file.with_name("again") / file.name
    twin.parent.mkdir()
    twin.write_bytes(CONTENT)
    assert local_copy(twin) == cache / DIGEST / "model.pth"
    file.write_bytes(b"others")
    assert local_copy(file).read_bytes() == b"others"
    assert len(copies(cache)) == 2


def test_a_file_that_is_not_as_noted_beside_it_is_not_kept(file: Path, cache: Path) -> None:
    file.with_name("SHA256SUMS").write_text(f"{DIGEST}  model.pth\n")
    assert local_copy(file).read_bytes() == CONTENT
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(PipelineError, match=f"model.pth: has the SHA-256 .*, but {DIGEST} is noted beside it"):
        local_copy(file)
    assert copies(cache) == [Path(DIGEST, "model.pth")]


def test_a_file_that_this_machine_does_not_see_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(PipelineError, match=r"absent\.pth: cannot be read on this machine"):
        local_copy(tmp_path / "absent.pth")


def test_an_object_of_a_store_is_copied_whatever_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("upath", reason="needs the extra cloud")
    from pipeline.storage import locate

    monkeypatch.delenv("GDPW_NODE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = locate("memory://bucket/model.pth")
    place.write_bytes(CONTENT)
    assert local_copy(place) == tmp_path / "gdpw-pipe/node" / DIGEST / "model.pth"


def test_a_stage_reads_its_face_model_out_of_the_cache(tmp_path: Path, cache: Path) -> None:
    model = write_pickle(tmp_path / "generic_model.pkl", toy_arrays())
    fit_track = FitTrack(FitConfig(face_model=model))
    assert [path.name for path in cache.rglob("*.pkl")] == ["generic_model.pkl"]
    assert fit_track.face_model.hash == load_face_model(model).hash


LOCAL = Path("/data/assets")
FIT = FitConfig(
    fitter="deca",
    face_model=LOCAL / CATALOGUE["flame"].file,
    deca_model=LOCAL / CATALOGUE["deca"].file,
    landmark_embedding=LOCAL / CATALOGUE["landmark_embedding"].file,
)
CARRIED = [
    lambda: stage(PreprocessConfig(input=Path("videos"), out=Path("dataset"), fit=FIT)),
    lambda: ModelConfig(checkpoint=LOCAL / "PWM_both.pth"),
    lambda: TrainTask(
        dataset=Path("dataset"), run=Path("run"), recipe=Recipe.preset("paper", "both"), init=LOCAL / "PWM_both.pth"
    ),
]


@pytest.mark.parametrize("carried", CARRIED)
def test_what_is_sent_to_workers_is_small_and_holds_no_array(carried: Callable[[], Any]) -> None:
    data = pickle.dumps(carried(), protocol=2)  # in which every class has its name in one place
    called = {str(argument).split()[0] for code, argument, _ in pickletools.genops(data) if code.name == "GLOBAL"}
    assert not {name for name in called if name.startswith(("numpy", "torch"))}
    assert len(data) < 4096
    assert b"PWM_both.pth" in data or b"deca_model.tar" in data
