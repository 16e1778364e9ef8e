"""Assets: found in a stated order, told by name or content, kept whole or not at all."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_flame import toy_arrays, toy_landmarks, write_pickle

from gdpw.perceptual import Vgg19
from pipeline.assets import ORIGINAL_FOLDERS, add, find, identify, require, survey
from pipeline.catalogue import CATALOGUE
from pipeline.errors import PipelineError


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our folder, empty; the working folder and the user's cache are empty too."""
    for name in ("cache", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GDPW_ASSETS", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    return tmp_path / "cache" / "gdpw-pipe"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder of the user's with a toy FLAME, its landmarks and other things."""
    folder = tmp_path / "given"
    (folder / "more").mkdir(parents=True)
    write_pickle(folder / "generic_model.pkl", toy_arrays(400))
    landmarks = {name: array for name, array in toy_landmarks().items() if not name.startswith("mediapipe")}
    np.save(folder / "more" / "renamed.npy", np.array(landmarks, dtype=object), allow_pickle=True)
    np.save(folder / "more" / "numbers.npy", np.zeros(3))
    (folder / "more" / "notes.txt").write_text("none of ours")
    return folder


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def refused(file: Path, name: str) -> str:
    with pytest.raises(PipelineError) as error:
        add(file, CATALOGUE[name])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_search_path_is_option_variable_our_folder_the_originals_and_torch_hub(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "vgg19-dcbb9e9d.pth"
    assert find("vgg19") is None
    for place in (kept.parent / "torch/hub/checkpoints", *map(Path, reversed(ORIGINAL_FOLDERS)), kept):
        expected = touch(place / file)
        assert find("vgg19") == expected
    monkeypatch.setenv("GDPW_ASSETS", str(tmp_path / "ours"))
    assert find("vgg19") == Path(file)
    expected = touch(tmp_path / "ours" / file)
    assert find("vgg19") == expected
    monkeypatch.setenv("GDPW_ASSET_VGG19", str(touch(tmp_path / "named")))
    assert find("vgg19") == tmp_path / "named"
    assert find("vgg19", touch(tmp_path / "option")) == tmp_path / "option"


def test_a_file_that_is_named_but_missing_is_a_fault(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(Path("deca_model.tar"))
    with pytest.raises(PipelineError, match=r"^gone\.tar: no such file"):
        find("deca", Path("gone.tar"))
    monkeypatch.setenv("GDPW_ASSET_DECA", "gone.tar")
    with pytest.raises(PipelineError, match=r"^GDPW_ASSET_DECA: gone\.tar: no such file"):
        require("deca")
    assert "gone.tar" in survey(["deca"])[0].fault


def test_what_is_missing_is_told_with_where_it_was_looked_for_and_how_to_get_it(kept: Path) -> None:
    with pytest.raises(PipelineError) as error:
        require("gdpw_both")
    message = str(error.value)
    assert "\n" not in message
    for part in ("PWM_both.pth", str(kept), "Fit-DECA/data", "gdpw-pipe assets fetch gdpw_both", "drive.google.com"):
        assert part in message


def test_the_files_that_come_along_are_found_and_load(kept: Path) -> None:
    landmarker, head = survey(["face_landmarker", "generic_head"], load=True)
    assert landmarker.published
    assert not landmarker.fault
    assert head.path
    assert not head.fault


def test_files_are_told_by_name_and_else_by_content(kept: Path, given: Path) -> None:
    found = {file.name: identify(file) for file in given.rglob("*") if file.is_file()}
    names = {file: asset.name for file, asset in found.items() if asset}
    assert names == {"generic_model.pkl": "flame", "renamed.npy": "landmark_embedding"}


def test_a_face_model_by_another_name_may_be_either_edition(kept: Path, given: Path) -> None:
    renamed = (given / "generic_model.pkl").rename(given / "head.pkl")
    with pytest.raises(PipelineError, match="may be flame or flame2023; say which with --as"):
        identify(renamed)


def test_what_is_added_is_found_from_anywhere_and_its_checksum_is_kept(kept: Path, given: Path) -> None:
    assert add(given / "generic_model.pkl", CATALOGUE["flame"]) == kept / "generic_model.pkl"
    assert add(given / "more" / "renamed.npy", CATALOGUE["landmark_embedding"]) == find("landmark_embedding")
    assert (kept / "generic_model.pkl").read_bytes() == (given / "generic_model.pkl").read_bytes()
    digests = {
        name: hashlib.sha256((kept / name).read_bytes()).hexdigest() for name in sorted(p.name for p in kept.iterdir())
    }
    lines = [f"{digests[name]}  {name}" for name in ("generic_model.pkl", "landmark_embedding.npy")]
    assert (kept / "SHA256SUMS").read_text().splitlines() == lines
    (flame,) = survey(["flame"], load=True)
    assert (flame.path, flame.fault, flame.published) == (kept / "generic_model.pkl", "", False)


def test_a_file_that_changed_since_it_was_added_is_told(kept: Path, given: Path) -> None:
    path = add(given / "generic_model.pkl", CATALOGUE["flame"])
    path.write_bytes(path.read_bytes() + b"\0")
    assert "changed since it was added" in survey(["flame"])[0].fault


@pytest.mark.parametrize("name", ["flame", "deca", "landmark_embedding", "gdpw_both", "vgg19"])
def test_a_file_that_is_something_else_is_refused_and_not_kept(kept: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / CATALOGUE[name].file
    file.write_bytes(b"something else")
    message = refused(file, name)
    assert message.startswith(f"{file}: not added as {name}: ")
    assert ".partial" not in message
    assert not list(kept.iterdir())


def test_weights_that_load_as_vgg19_are_refused_without_the_published_checksum(kept: Path, tmp_path: Path) -> None:
    file = tmp_path / "vgg19-dcbb9e9d.pth"
    torch.save(Vgg19().state_dict(), file)
    assert "not the published file" in refused(file, "vgg19")


def test_a_checkpoint_is_kept_under_its_own_guidance_only(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gdpw import checkpoint
    from gdpw.config import GeneratorConfig

    def loaded(path: Path) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint(name=str(path), config=GeneratorConfig(guidance="geom_disp"), generator={})

    monkeypatch.setattr(checkpoint, "load_checkpoint", loaded)
    asset = identify(touch(tmp_path / "renamed.pth"))
    assert asset
    assert asset.name == "gdpw_geom_disp"
    assert "with the guidance geom_disp, not both" in refused(tmp_path / "renamed.pth", "gdpw_both")


def test_deca_in_its_published_form_is_added(kept: Path, deca_model_file: Path) -> None:
    asset = identify(deca_model_file)
    assert asset
    assert add(deca_model_file, asset) == kept / "deca_model.tar"


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(name, data)
    return path


def test_flame_is_taken_out_of_its_archive_and_no_path_in_it_is_followed(kept: Path, given: Path) -> None:
    model = (given / "generic_model.pkl").read_bytes()
    members = {
        "../../evil.txt": b"",
        "/evil.txt": b"",
        "../FLAME2020/generic_model.pkl": model,
        "female_model.pkl": b"",
    }
    file = archive(given / "FLAME2020.zip", members)
    asset = identify(file)
    assert asset
    assert add(file, asset).read_bytes() == model
    assert sorted(path.name for path in kept.iterdir()) == ["SHA256SUMS", "generic_model.pkl"]
    assert not list(given.parent.rglob("evil.txt"))


def test_an_archive_that_is_damaged_or_ambiguous_is_refused(kept: Path, given: Path) -> None:
    model = (given / "generic_model.pkl").read_bytes()
    twice = archive(given / "twice.zip", {"a/generic_model.pkl": model, "b/generic_model.pkl": model})
    assert "has 2 files generic_model.pkl, expected one" in refused(twice, "flame")
    other = archive(given / "other.zip", {"readme.txt": b""})
    assert identify(other) is None
    assert "has no files generic_model.pkl" in refused(other, "flame")
    whole = archive(given / "whole.zip", {"generic_model.pkl": model}).read_bytes()
    for damage, name in (
        (whole[: len(whole) // 2], "half.zip"),
        (whole.replace(whole[60:90], bytes(30), 1), "bad.zip"),
    ):
        (given / name).write_bytes(damage)
        assert "not a zip archive, damaged or encrypted" in refused(given / name, "flame")
    assert not list(kept.iterdir())
