"""What strangers send us, and what we let out: SECURITY.md as tests. Model files have more in test_safe_pickle.py."""

from __future__ import annotations

import ast
import io
import os
import pickle
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_dataset import MadeTrack, write_dataset

from fit_deca.deca_file import load_encoder
from fit_deca.errors import FaceModelError
from gdpw.checkpoint import load_checkpoint
from gdpw.errors import CheckpointError
from gdpw.perceptual import Vgg19
from jobs.cli import main
from jobs.commands.edit import edit
from jobs.export_folders import ExportFoldersConfig
from jobs.export_folders import run as export
from jobs.inspect import InspectConfig
from jobs.inspect import run as inspect
from jobs.preprocess import PreprocessConfig, stage
from pipeline.archive import extract
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.ledger import LedgerRow, read_ledger, read_manifest, write_ledger, write_manifest
from pipeline.loader import LoaderConfig, PairLoader
from pipeline.models import ModelConfig
from pipeline.secrets import without_secrets
from pipeline.stream import PairStream, StreamConfig

ROOT = Path(__file__).parents[1]
URL = "https://user:sesame@host/clip.mp4"
PACKAGES = ("fit_deca", "gdpw", "jobs", "pipeline")


class Runs:
    """Unpickled without care, this makes the file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that is made if anything of a stranger's is run."""
    path = tmp_path / "ran"
    pickle.loads(pickle.dumps(Runs(path)))
    assert path.exists()
    path.unlink()
    return path


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """Every call of a name, such as `torch.load`."""
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_line_of_ours_reads_what_may_run(package: str) -> None:
    """But for the values that our own workers send one another."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for name, call in calls(ast.parse(path.read_text())):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            place = f"{path.relative_to(ROOT)}:{call.lineno}: {name}"
            assert name not in ("eval", "exec", "os.system", "yaml.load", "pickle.load"), place
            assert name != "pickle.loads" or path == ROOT / "jobs/ray_stage.py", place
            assert name != "torch.load" or given["weights_only"] == "True", place
            assert name not in ("np.load", "numpy.load") or given["allow_pickle"] == "False", place
            assert given.get("shell", "False") == "False", place
            assert name.rpartition(".")[2] not in ("extractall", "decode_all"), place


@pytest.mark.parametrize("form", ["zip", "older", "pickle"])
@pytest.mark.parametrize(
    ("load", "fault"),
    [(load_checkpoint, CheckpointError), (load_encoder, FaceModelError), (Vgg19.load, CheckpointError)],
)
def test_weights_that_would_run_are_refused_in_one_line_and_torch_says_nothing(
    form: str, load: Callable[[Path], Any], fault: type[Exception], marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / "crafted.pth"
    content = {"generator": Runs(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, 4))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with warnings.catch_warnings(action="error"), pytest.raises(fault) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1
    assert "weights_only" not in str(caught.value)  # its advice
    assert not marker.exists()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset", [MadeTrack("ann"), MadeTrack("bob")])


def rewrite(folder: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> None:
    """The dataset's one shard with every member anew: change gives those that stand in its place, under its key."""
    (shard,) = folder.glob("*.tar")
    with tarfile.open(shard) as old:
        members = [(member.name, file.read()) for member in old if (file := old.extractfile(member))]
    starts: dict[str, int] = {}
    with tarfile.open(shard, "w") as new:
        for name, data in (out for member in members for out in change(*member)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            starts.setdefault(name.partition(".")[0], new.offset)
            new.addfile(entry, io.BytesIO(data))
        places = [*starts.values(), new.offset]
    rows = read_manifest(folder)
    for row in rows:
        row.offsets[:], places = places[: row.frames + 1], places[row.frames :]
    write_manifest(rows, folder)


def read_all(dataset: Dataset) -> None:
    for name in {row.shard for row in dataset.tracks}:
        list(dataset.read_shard(name))


def read_pairs(dataset: Dataset) -> None:
    config = LoaderConfig(batch_size=2, workers=1)
    next(PairLoader(dataset, config).iterate())


def read_stream(dataset: Dataset) -> None:
    config = LoaderConfig(batch_size=2, workers=1)
    next(PairStream(dataset, config, StreamConfig(streams=1, shuffle=4, steps_per_epoch=2)).iterate())


READERS = [read_all, read_pairs, read_stream]


@pytest.mark.parametrize("read", READERS)
def test_pickles_among_a_datasets_members_are_not_read(
    read: Callable[[Dataset], None], dataset: Path, marker: Path
) -> None:
    data = pickle.dumps(Runs(marker))

    def add(name: str, content: bytes) -> list[tuple[str, bytes]]:
        stem = name.partition(".")[0]
        extra = [(f"{stem}.{kind}", data) for kind in ("pkl", "pickle", "pyd", "pth")] if name.endswith(".json") else []
        return [(name, content), *extra]

    rewrite(dataset, add)
    read(open_dataset(dataset))
    assert not marker.exists()


@pytest.mark.parametrize("read", READERS)
def test_an_array_of_objects_in_a_dataset_is_refused(
    read: Callable[[Dataset], None], dataset: Path, marker: Path
) -> None:
    crafted = io.BytesIO()
    np.save(crafted, np.array([Runs(marker)], dtype=object), allow_pickle=True)
    rewrite(dataset, lambda name, data: [(name, crafted.getvalue() if name.endswith(".npy") else data)])
    with pytest.raises(PipelineError) as caught:
        read(open_dataset(dataset))
    assert len(str(caught.value).splitlines()) == 1
    assert not marker.exists()


OUTSIDE = ["../elsewhere/shard-000000.tar", "/etc/hostname", "..", "a/../../b.tar", "..\\b.tar", ""]


@pytest.mark.parametrize("shard", OUTSIDE)
def test_a_manifest_that_names_files_elsewhere_is_refused_by_every_reader(
    shard: str, dataset: Path, tmp_path: Path
) -> None:
    rows = read_manifest(dataset)
    write_manifest([rows[0], replace(rows[1], shard=shard)], dataset)
    readers = [*READERS, lambda opened: opened.read_track("ann", "video", "clip", 0)]
    readers.append(lambda opened: export(ExportFoldersConfig(dataset=opened.folder, out=tmp_path / "out")))
    for read in readers:
        with pytest.raises(
            PipelineError, match=r"manifest\.parquet: names the shard .* which is no file of its folder"
        ):
            read(open_dataset(dataset))


def test_paths_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/FLAME.zip", "w") as archive:
        archive.writestr("../../generic_model.pkl", b"content")
        archive.writestr("/tmp/other.txt", b"content")
    extract(tmp_path / "in/FLAME.zip", "generic_model.pkl", tmp_path / "in/target")
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "FLAME.zip", "target"}


def test_the_page_is_served_to_this_machine_unless_asked_otherwise() -> None:
    (host,) = (parameter for parameter in edit.params if parameter.name == "host")
    assert host.default == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:sesame@host/a.mp4: no such file", "https://***@host/a.mp4: no such file"),
        ("s3:/AKIA:sesame@bucket/x", "s3:/***@bucket/x"),  # taken for a path
        ("https://h/x?X-Amz-Signature=sesame&part=1", "https://h/x?X-Amz-Signature=***&part=1"),
        ("https://h/x?id=1&access_token=sesame", "https://h/x?id=1&access_token=***"),
        ("clip.mp4@3.2s, me@host, https://host/clip@2s", "clip.mp4@3.2s, me@host, https://host/clip@2s"),
    ],
)
def test_secrets_in_a_url_are_not_shown_and_nothing_else_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "line", [["reenact", URL, URL], ["edit", URL], ["assets", "add", URL], ["evaluate", URL, "d", "o"]]
)
def test_errors_of_commands_repeat_no_password(
    line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gdpw-pipe", *line])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code in (1, 2)
    assert "error:" in said.err
    assert "sesame" not in said.out + said.err


def test_a_ledger_holds_no_password_that_a_list_had(tmp_path: Path) -> None:
    fault = InputError(Reason.UNREADABLE, f"{URL}: gone")
    write_ledger([LedgerRow.of(URL, fault, tracks=0, frames=0, seconds=0)], tmp_path)
    (read,) = read_ledger(tmp_path)
    assert (read.input, read.message) == ("https://***@host/clip.mp4", "https://***@host/clip.mp4: gone")


def test_nothing_of_the_environments_secrets_is_stored(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GDPW_FLAME_PASSWORD", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "sesame")
    write_ledger([], dataset)
    inspect(InspectConfig(dataset=dataset))
    written = [path for path in dataset.rglob("*") if path.is_file()]
    assert dataset / "report.html" in written
    assert [path for path in written if b"sesame" in path.read_bytes()] == []
    assert b"sesame" not in pickle.dumps([stage(PreprocessConfig(input=dataset, out=dataset)), ModelConfig()])
