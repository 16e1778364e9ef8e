"""Published model files are pickles; this reads the arrays out of one and runs nothing of it.

A pickle tells its reader which functions to call. Here no name leads to a function: every name that a face model has
reason to use becomes a `Record`, which keeps what it was given, and any other name is refused. Arrays are then made
from the records of the few kinds that hold numbers.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.errors import FaceModelError


class Record:
    """An object that the file describes: its class's name, what it was made with and its state, all plain data."""

    name: ClassVar[str]
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Record:
        self = super().__new__(cls)
        self.args = args
        self.state = None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _RecordingUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Record]:
        full = "chumpy" if module.split(".")[0] == "chumpy" else f"{module}.{name}"
        if full not in _KNOWN:
            raise FaceModelError(f"refused, since it calls for {full!r}, which no face model needs")
        return type("Record", (Record,), {"name": full})


_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError),
    *(MemoryError, OverflowError, RecursionError, RuntimeError, TypeError, ValueError),
)
"""What reading damaged or crafted bytes raises."""


class PickledArrays(Mapping[str, NDArray[Any]]):
    """The arrays of a pickled dict, made when they are asked for; entries of other kinds stay unread."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> NDArray[Any]:
        entry = self._entries[name]
        try:
            return _array(entry)
        except _DAMAGE as error:
            raise FaceModelError(f"{name} cannot be read as an array of numbers") from error

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def read_pickled_arrays(file: BinaryIO) -> PickledArrays:
    """The dict of arrays pickled in `file`, by Python 2 or 3, bare or as the content of an array without axes.

    Arrays may be NumPy's, wrapped by chumpy, compressed sparse columns (read as dense) or torch tensors.
    Raises FaceModelError if the file is damaged, holds something else or names anything else.
    """
    try:
        top = _RecordingUnpickler(file, encoding="latin1").load()
        if isinstance(top, Record):
            (top,) = top.state[4]
    except FaceModelError:
        raise
    except _DAMAGE as error:
        raise FaceModelError("not a pickled face model, or damaged") from error
    if not isinstance(top, dict):
        raise FaceModelError("not a face model: expected a pickled dict of arrays")
    return PickledArrays(top)


def _array(entry: Any) -> NDArray[Any]:
    """Raises one of `_DAMAGE` where the entry is no array."""
    if not isinstance(entry, Record):
        raise TypeError(f"a {type(entry).__name__}")
    return _KNOWN[_class_name(entry)](entry)


def _class_name(record: Record) -> str:
    """Old protocols make objects by a helper, whose first argument is the class."""
    return record.args[0].name if record.name in _RECONSTRUCTORS else record.name


def _from_ndarray(record: Record) -> NDArray[Any]:
    _, shape, dtype, fortran, data = record.state
    return np.frombuffer(_bytes(data), _dtype(dtype)).reshape(shape, order="F" if fortran else "C")


def _from_buffer(record: Record) -> NDArray[Any]:
    data, dtype, shape, order = record.args
    return np.frombuffer(_bytes(data), _dtype(dtype)).reshape(shape, order=order)


def _from_chumpy(record: Record) -> NDArray[Any]:
    wrapped = record.state["x"]
    if wrapped.name == "chumpy":
        raise TypeError("an array wrapped twice")
    return _array(wrapped)


def _from_sparse_columns(record: Record) -> NDArray[Any]:
    values, rows, starts = (_array(record.state[key]) for key in ("data", "indices", "indptr"))
    dense = np.zeros(record.state["_shape"])
    np.add.at(dense, (rows, np.repeat(np.arange(dense.shape[1]), np.diff(starts))), values)
    return dense


def _from_tensor(record: Record) -> NDArray[Any]:
    storage, offset, size, stride = record.args[:4]
    if storage.name != "torch.storage._load_from_bytes":
        raise TypeError("a tensor without its storage")
    loaded = torch.load(io.BytesIO(_bytes(storage.args[0])), map_location="cpu", weights_only=True)
    return torch.empty(0, dtype=loaded.dtype).set_(loaded).as_strided(size, stride, offset).numpy()


def _no_array(record: Record) -> NDArray[Any]:
    raise TypeError(f"a {record.name}")


def _dtype(record: Record) -> np.dtype[Any]:
    code, order = record.args[0], record.state[1]
    if not re.fullmatch(r"[<>|][iuf][1248]", order + code):
        raise TypeError(f"elements of type {order}{code}")
    return np.dtype(order + code)


def _bytes(data: Any) -> bytes:
    """Bytes, as Python 3 writes them, as it writes them for Python 2, or as Python 2 wrote them."""
    if isinstance(data, Record) and data.name == "_codecs.encode":
        data = data.args[0]
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


_RECONSTRUCTORS = ("copy_reg._reconstructor", "copyreg._reconstructor")

_KNOWN: dict[str, Callable[[Record], NDArray[Any]]] = {
    **dict.fromkeys(("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"), _from_ndarray),
    **dict.fromkeys(("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"), _from_buffer),
    **dict.fromkeys(("scipy.sparse.csc.csc_matrix", "scipy.sparse._csc.csc_matrix"), _from_sparse_columns),
    "chumpy": _from_chumpy,
    "torch._utils._rebuild_tensor_v2": _from_tensor,
    **dict.fromkeys(
        (
            *("numpy.ndarray", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
            *("torch.storage._load_from_bytes", "collections.OrderedDict", "_codecs.encode", *_RECONSTRUCTORS),
            *("__builtin__.set", "builtins.set", "__builtin__.object", "builtins.object"),
        ),
        _no_array,
    ),
}
"""Every name that a file may use (any of chumpy's counts as one), and how an array comes out of such an object."""
