"""Crafted files: none of them runs anything, and each gives one line."""

from __future__ import annotations

import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing
import pytest
import torch
from golden_set import FOLDER
from toy_flame import toy_arrays, toy_landmarks, write_pickle

from fit_deca.errors import FaceModelError
from fit_deca.model_file import load_face_model, load_landmark_embedding

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""What a file of torch's older format begins with."""


class Calls:
    """Unpickled without care, this calls the function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.args


def shell(marker: Path) -> Calls:
    return Calls(os.system, f"touch '{marker}'")


def python_in_numpy_measure(marker: Path) -> Calls:
    return Calls(numpy.testing.measure, f"open({str(marker)!r}, 'w')")


def python_in_numpy_runstring(marker: Path) -> Calls:
    return Calls(numpy.testing.runstring, f"open({str(marker)!r}, 'w')", {})


def evaluated(marker: Path) -> Calls:
    return Calls(eval, f"open({str(marker)!r}, 'w')")


PAYLOADS = [shell, python_in_numpy_measure, python_in_numpy_runstring, evaluated]


def in_torch_bytes(payload: Calls) -> Calls:
    """A tensor whose storage, a file within the file, carries the payload."""
    stream = b"".join(pickle.dumps(part, 2) for part in (TORCH_MAGIC, 1001, {"little_endian": True}, payload))
    storage = Calls(torch.storage._load_from_bytes, stream)
    return Calls(torch._utils._rebuild_tensor_v2, storage, 0, (79, 17), (17, 1), False, OrderedDict())


def write_npy(path: Path, content: Any, protocol: int = 4) -> Path:
    """As `np.save` writes an array of objects."""
    array = np.array(content, dtype=object)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        pickle.dump(array, file, protocol)
    return path


def model_file(folder: Path, payload: Any) -> Path:
    return write_pickle(folder / "crafted.pkl", toy_arrays() | {"v_template": payload})


def landmark_file(folder: Path, payload: Any) -> Path:
    return write_npy(folder / "crafted.npy", toy_landmarks() | {"dynamic_lmk_faces_idx": payload})


FILES = [(model_file, load_face_model), (landmark_file, load_landmark_embedding)]


def assert_one_line(path: Path, load: Callable[[Path], Any], match: str | None = None) -> None:
    with pytest.raises(FaceModelError, match=match) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_payloads_are_live(tmp_path: Path, payload: Callable[[Path], Calls]) -> None:
    function, args = payload(tmp_path / "ran").__reduce__()
    function(*args)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(("write", "load"), FILES)
def test_a_call_in_the_file_is_refused_by_its_name_and_not_made(
    tmp_path: Path, write: Callable[..., Path], load: Callable[[Path], Any], payload: Callable[[Path], Calls]
) -> None:
    call = payload(tmp_path / "ran")
    assert_one_line(write(tmp_path, call), load, match=f"refused, since it calls for .*{call.function.__name__}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(("write", "load"), FILES)
def test_a_call_inside_a_tensors_bytes_is_not_made(
    tmp_path: Path, write: Callable[..., Path], load: Callable[[Path], Any], payload: Callable[[Path], Calls]
) -> None:
    path = write(tmp_path, in_torch_bytes(payload(tmp_path / "ran")))
    assert_one_line(path, load, match="cannot be read as an array of numbers")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_call_in_an_object_array_of_an_npz_is_not_made(tmp_path: Path, payload: Callable[[Path], Calls]) -> None:
    crafted = np.array(payload(tmp_path / "ran"), dtype=object)
    np.savez(tmp_path / "crafted.npz", **(toy_arrays() | {"v_template": crafted}))  # type: ignore[arg-type]
    assert_one_line(tmp_path / "crafted.npz", load_face_model, match="not a file of arrays, or damaged")
    assert not (tmp_path / "ran").exists()


def test_chumpy_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chumpy").mkdir()
    (tmp_path / "chumpy" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    load_face_model(FOLDER / "flame_like_python2_chumpy.pkl")
    assert "chumpy" not in sys.modules


@pytest.mark.parametrize(
    "allowed", [np.dtype, np.ndarray, torch._utils._rebuild_tensor_v2, torch.storage._load_from_bytes, OrderedDict, set]
)
def test_allowed_names_called_with_nonsense_give_one_line(tmp_path: Path, allowed: Callable[..., Any]) -> None:
    for args in ((), (b"\x80\x04.",), (1, 2, 3)):
        assert_one_line(model_file(tmp_path, Calls(allowed, *args)), load_face_model)


def test_an_array_of_pointers_is_refused(tmp_path: Path) -> None:
    """Bytes under the type of objects would be followed as addresses."""
    reduced: Any = np.zeros((12, 3)).__reduce__()
    reconstruct, args, (version, shape, _, fortran, data) = reduced

    class Pointers:
        def __reduce__(self) -> Any:
            return reconstruct, args, (version, shape, np.dtype(object), fortran, data)

    assert_one_line(model_file(tmp_path, Pointers()), load_face_model, "v_template cannot be read as an array")


def test_a_tensor_that_reaches_past_its_storage_is_refused(tmp_path: Path) -> None:
    rebuild, (storage, *_) = torch.zeros(4, dtype=torch.int64).__reduce_ex__(2)
    crafted = Calls(rebuild, storage, 0, (79, 17), (17, 1), False, OrderedDict())
    assert_one_line(landmark_file(tmp_path, crafted), load_landmark_embedding, "dynamic_lmk_faces_idx cannot be read")


def test_an_array_wrapped_in_itself_is_refused(tmp_path: Path) -> None:
    wrapped_in_itself = b"cchumpy.ch\nCh\n)\x81q\x00}U\x01xh\x00sb"
    (tmp_path / "crafted.pkl").write_bytes(b"\x80\x02}U\x0av_template" + wrapped_in_itself + b"s.")
    assert_one_line(tmp_path / "crafted.pkl", load_face_model, "v_template cannot be read as an array")


@pytest.mark.parametrize("protocol", [2, 4])
def test_landmarks_kept_as_torch_tensors_are_read(tmp_path: Path, protocol: int) -> None:
    arrays = toy_landmarks()
    tensors = {name: torch.from_numpy(arrays[name]).mT.contiguous().mT for name in arrays if name.startswith("dynamic")}
    path = write_npy(tmp_path / "landmarks.npy", arrays | tensors, protocol)
    dynamic = load_landmark_embedding(path).dynamic
    np.testing.assert_array_equal(dynamic.faces, arrays["dynamic_lmk_faces_idx"])
    np.testing.assert_array_equal(dynamic.bary, arrays["dynamic_lmk_bary_coords"].astype(np.float32))


@pytest.mark.parametrize("content", [b"", b"\x80", b"a model", b"PK\x03\x04", pickle.dumps([1]), pickle.dumps("text")])
@pytest.mark.parametrize("load", [load_face_model, load_landmark_embedding])
def test_another_kind_of_file_gives_one_line(tmp_path: Path, load: Callable[[Path], Any], content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    assert_one_line(tmp_path / "other", load)


@pytest.mark.parametrize("name", ["flame_like_python2_chumpy.pkl", "flame_like_expected.npz"])
def test_a_file_cut_short_anywhere_gives_one_line(tmp_path: Path, name: str) -> None:
    whole = (FOLDER / name).read_bytes()
    for length in [*range(0, 800, 29), *range(800, len(whole), 4999), len(whole) - 1]:
        (tmp_path / name).write_bytes(whole[:length])
        assert_one_line(tmp_path / name, load_face_model)
