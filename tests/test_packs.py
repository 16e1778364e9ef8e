"""Packs of results: what many small files held is in few, whenever the run that makes them is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

import pipeline.pieces
from pipeline.errors import PipelineError
from pipeline.packs import Packs
from pipeline.pieces import Pieces

ROWS = 20_000
ROOT = Path(__file__).parents[1]


def begin(out: Path, packed: int) -> Pieces:
    pieces = Pieces(out, packed)
    pieces.begin({})
    return pieces


def files(pieces: Pieces) -> list[str]:
    """Of single results."""
    return sorted(path.name for path in pieces.folder.glob("??/*.json"))


def test_every_key_comes_back_once_with_its_latest_result(tmp_path: Path) -> None:
    packs = Packs(tmp_path)
    for first in range(0, 1000, 100):
        packs.add({f"clip {n}": b"%d" % n for n in range(first, first + 100)})
    packs.add({"clip 7": b"seven", "n\udcff": b"odd"})
    expected = {f"clip {n}": b"%d" % n for n in range(1000)} | {"clip 7": b"seven", "n\udcff": b"odd"}
    found = list(packs.items())
    assert len(found) == len(expected)
    assert dict(found) == expected
    fresh = Packs(tmp_path)
    for key in random.Random(0).sample(list(expected), 50):
        assert packs.get(key) == fresh.get(key) == expected[key]
    assert packs.get("clip -1") is None


def test_twenty_thousand_results_of_a_run_killed_between_packs_are_there_once(tmp_path: Path) -> None:
    chance = random.Random(0)
    expected = {f"clip {number}": number for number in range(ROWS)}
    keys = chance.sample(list(expected), ROWS)
    former = begin(tmp_path, packed=150)
    packs = Packs(former.folder / "packs")
    for first in range(0, ROWS - 1000, 1000):  # what most of the run left, and then it goes on one by one
        packs.add({key: json.dumps({"key": key, "result": expected[key]}).encode() for key in keys[first:][:1000]})
    kills = set(chance.sample(keys[-1000:], 5))
    pieces = begin(tmp_path, packed=150)
    for key in keys[-1000:]:
        if key in kills:
            pieces = begin(tmp_path, packed=150)
        pieces.write(key, expected[key])
    assert len(list(pieces.folder.glob("packs/*"))) == 19 + 1000 // 150
    for reader in (pieces, begin(tmp_path, packed=150), Pieces(tmp_path)):
        found = list(reader.read_all())
        assert len(found) == ROWS
        assert dict(found) == expected


def test_results_move_into_a_pack_and_are_read_as_before(tmp_path: Path) -> None:
    pieces = begin(tmp_path, packed=10)
    results = {f"clip {number}": [number, None] for number in range(25)}
    for key, result in results.items():
        pieces.write(key, result)
    assert len(files(pieces)) == 5
    assert len(list(pieces.folder.glob("packs/*"))) == 2
    for reader in (pieces, Pieces(tmp_path), begin(tmp_path, packed=10)):
        assert dict(reader.read_all()) == results
        assert {key: reader.read(key) for key in results} == results


def test_what_is_packed_can_be_replaced_and_forgotten(tmp_path: Path) -> None:
    pieces = begin(tmp_path, packed=4)
    for key in "abcd":
        pieces.write(key, "former")
    pieces.write("a", "later")
    pieces.remove("b")
    for packed in (100, 1):  # as files of their own, and packed again
        pieces = begin(tmp_path, packed)
        for reader in (pieces, Pieces(tmp_path)):
            assert dict(reader.read_all()) == {"a": "later", "c": "former", "d": "former"}
            assert (reader.get("a"), reader.get("b")) == ("later", None)
    assert not files(pieces)


def test_a_run_killed_after_a_pack_and_before_its_files_are_gone_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_midway(paths: Iterable[Path]) -> None:
        for path in list(paths)[::2]:
            path.unlink()
        raise KeyboardInterrupt

    pieces = begin(tmp_path, packed=10)
    for number in range(9):
        pieces.write(str(number), number)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.pieces, "remove", killed_midway)
        with pytest.raises(KeyboardInterrupt):
            pieces.write("9", 9)
    assert len(files(pieces)) == 5
    again = begin(tmp_path, packed=10)
    for number in range(10, 15):
        again.write(str(number), number)
    assert sorted(Pieces(tmp_path).read_all()) == sorted((str(number), number) for number in range(15))
    assert not files(again)


def test_a_run_killed_while_it_writes_a_pack_has_its_files_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    pieces = begin(tmp_path, packed=10)
    for number in range(9):
        pieces.write(str(number), number)
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            pieces.write("9", 9)
    assert len(files(pieces)) == 10
    again = begin(tmp_path, packed=10)
    assert dict(again.read_all()) == {str(number): number for number in range(10)}
    assert not files(again)


def test_a_reader_sees_everything_while_results_move_into_a_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = begin(tmp_path, packed=10)
    for number in range(9):
        pieces.write(str(number), number)
    listed = pipeline.pieces.read_many

    def packed_meanwhile(paths: Iterable[Path]) -> object:
        names = list(paths)
        monkeypatch.setattr(pipeline.pieces, "read_many", listed)
        pieces.write("9", 9)
        return listed(names)

    monkeypatch.setattr(pipeline.pieces, "read_many", packed_meanwhile)
    assert dict(Pieces(tmp_path).read_all()) == {str(number): number for number in range(10)}


def test_sigkill_at_any_moment_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    chance = random.Random(1)
    said = -1
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as writer:
            assert writer.stdout
            said = max(said, int(writer.stdout.readline()))
            time.sleep(chance.uniform(0, 0.3))
            writer.send_signal(signal.SIGKILL)
            said = max([said, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        found = sorted(Pieces(tmp_path).read_all(), key=lambda item: item[1])
        kept = [number for _, number in found]
        assert kept == list(range(len(kept)))
        assert len(kept) in (said + 1, said + 2)  # kept, and perhaps not yet said
    assert list((tmp_path / ".pieces/packs").glob("0*"))


_WRITER = """
import sys
from pathlib import Path
from pipeline.pieces import Pieces
pieces = Pieces(Path(sys.argv[1]), packed=20)
pieces.begin({})
number = len(dict(pieces.read_all()))
while True:
    pieces.write(f"clip {number}", number)
    print(number, flush=True)
    number += 1
"""


def test_a_damaged_pack_is_named(tmp_path: Path) -> None:
    packs = Packs(tmp_path)
    packs.add({"a": b"1"})
    (pack,) = tmp_path.iterdir()
    pack.write_bytes(pack.read_bytes()[:-20])
    with pytest.raises(PipelineError, match=f"{pack}: cannot be read; delete it"):
        Packs(tmp_path).get("a")
