"""Assembly: whatever the order in which clips are done and however often it begins anew, the shards are the same."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from outputs import shards
from samples import HEAD, make_sample

from pipeline import packs
from pipeline.assembly import Assembly
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.ledger import ManifestRow, Status
from pipeline.parts import PARTS, TrackPart
from pipeline.pieces import Pieces, file_name
from pipeline.plan import ClipResult, Plan
from pipeline.records import Clip
from pipeline.shards import join_parts, read_sample, read_shard, write_part
from pipeline.sources import Scan

TRACKS = {"ann": 2, "bob": 0, "cid": 1, "dee": 3, "eve": 1}
"""Clips in the order of the plan, and how many tracks each has; bob's is broken."""


def clip(name: str) -> Clip:
    return Clip(path=f"{name}.mp4", identity=name, video="v", clip="c")


PLAN = Plan.of(Scan([clip(name) for name in TRACKS]))
KEYS = dict(zip(TRACKS, PLAN.clips, strict=True))


def begin(out: Path, plan: Plan = PLAN, shard_bytes: int = 60_000, packed: int = 10_000) -> Assembly:
    pieces = Pieces(out, packed)
    pieces.begin({})
    return Assembly(pieces, plan, shard_bytes)


def work(out: Path, name: str) -> tuple[str, ClipResult, list[TrackPart]]:
    """What the stages make of a clip."""
    parts = []
    for track in range(TRACKS[name]):
        file = file_name(f"{name} {track}", ".tar")
        offsets = write_part(out / PARTS / file, (make_sample(frame, name, track) for frame in range(3)), HEAD)
        row = ManifestRow(
            identity=name,
            video="video.1",
            clip="clip",
            track=track,
            frames=3,
            shard="",
            error_median_px=0.5,
            error_p95_px=1.0,
            jitter_px=0.1,
            split="train",
            numbers=[0, 1, 2],
            offsets=offsets,
        )
        parts.append(TrackPart(file, asdict(row)))
    fault = None if parts else InputError(Reason.UNREADABLE, "bob.mp4: broken")
    return KEYS[name], ClipResult.of(clip(name), fault, tracks=len(parts), frames=3 * len(parts), seconds=1.0), parts


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips in the order of the plan, in one go."""
    out = tmp_path_factory.mktemp("straight")
    assembly = begin(out)
    for name in TRACKS:
        assembly.add(*work(out, name))
    assembly.finish()
    return out


def test_samples_lie_in_planned_order_where_the_manifest_says(straight: Path) -> None:
    rows = list(begin(straight).manifest())
    assert [(row.identity, row.track) for row in rows] == [(n, t) for n, count in TRACKS.items() for t in range(count)]
    assert len({row.shard for row in rows}) > 1
    for row in rows:
        for frame in range(3):
            sample, _ = read_sample(straight / row.shard, row.offsets[frame], row.offsets[frame + 1])
            assert sample.key[:1] + sample.key[3:] == (row.identity, row.track, frame)
    keys = [str(sample.key) for path in sorted(straight.glob("*.tar")) for sample, _ in read_shard(path)]
    assert len(keys) == len(set(keys)) == 3 * sum(TRACKS.values())


@pytest.mark.parametrize("seed", range(8))
def test_any_order_and_any_interruption_give_the_same_shards(straight: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = rng.sample(list(TRACKS), k=len(TRACKS))
    packed = rng.choice((1, 3, 10_000))
    assembly = begin(tmp_path, packed=packed)
    for name in names:
        if rng.random() < 0.3:
            work(tmp_path, name)  # its parts are written, and then the run is killed
            assembly = begin(tmp_path, packed=packed)
        assembly.add(*work(tmp_path, name))
        if rng.random() < 0.5:
            assembly = begin(tmp_path, packed=packed)
    begin(tmp_path).finish()
    assert shards(tmp_path) == shards(straight)
    assert list(begin(tmp_path).manifest()) == list(begin(straight).manifest())
    assert not (tmp_path / PARTS).exists()


def test_a_run_killed_after_a_shard_and_before_its_piece_makes_it_again(straight: Path, tmp_path: Path) -> None:
    pieces = Pieces(tmp_path)
    for name in TRACKS:
        assembly = begin(tmp_path, shard_bytes=1 << 40)
        assembly.add(*work(tmp_path, name))
    join_parts(tmp_path / "shard-000000.tar", [])
    begin(tmp_path).finish()
    assert shards(tmp_path) == shards(straight)
    assert pieces.get("shard 0")


def test_a_shard_is_written_as_soon_as_it_is_complete_and_its_parts_go(tmp_path: Path) -> None:
    assembly = begin(tmp_path, shard_bytes=1)
    assembly.add(*work(tmp_path, "cid"))
    assert not shards(tmp_path)
    for name in ("bob", "ann"):
        assembly.add(*work(tmp_path, name))
    assert len(shards(tmp_path)) == 3
    assert not list((tmp_path / PARTS).rglob("*.tar"))


def test_what_is_planned_or_mended_later_comes_behind_and_changes_no_shard(straight: Path, tmp_path: Path) -> None:
    assembly = begin(tmp_path)
    for name in TRACKS:
        assembly.add(*work(tmp_path, name))
    assembly.finish()
    before = shards(tmp_path)
    again = begin(tmp_path, Plan.of(Scan([clip("ada"), *PLAN.clips.values()])))
    again.forget([KEYS["bob"]])
    assert KEYS["bob"] not in again.results
    for name, key in (("ada", "ada/v/c"), ("bob", KEYS["bob"])):
        _, result, parts = work(tmp_path, "ann")
        rows = [{**part.row, "identity": name} for part in parts]
        again.add(key, result, [part._replace(row=row) for part, row in zip(parts, rows, strict=True)])
        work(tmp_path, "ann")
    again.finish()
    assert before.items() <= shards(tmp_path).items()
    assert [row.identity for row in again.manifest()][-4:] == ["ada", "ada", "bob", "bob"]


def test_the_ledger_has_one_row_for_an_input_with_many_clips() -> None:
    cuts = [Clip(path="upload.mp4", identity="ann", video="v", clip=str(number)) for number in range(3)]
    plan = Plan.of(Scan([*cuts, clip("bob")]))
    fault = InputError(Reason.NO_FACE, "upload.mp4: no face")
    results = {
        "ann/v/0": ClipResult.of(cuts[0], None, tracks=1, frames=10, seconds=1),
        "ann/v/1": ClipResult.of(cuts[1], fault, tracks=0, frames=0, seconds=1),
        "ann/v/2": ClipResult.of(cuts[2], None, tracks=2, frames=20, seconds=1),
    }
    (row,) = plan.ledger(results)
    assert (row.input, row.status, row.reason) == ("upload.mp4", Status.DONE, Reason.NO_FACE)
    assert (row.tracks, row.frames, row.seconds) == (3, 30, 3)


def test_two_clips_of_the_same_names_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"b/ann.mp4: has the names of ann.mp4: ann/v/c"):
        Plan.of(Scan([clip("ann"), Clip(path="b/ann.mp4", identity="ann", video="v", clip="c")]))


def test_a_clip_of_which_a_part_was_deleted_is_done_again(straight: Path, tmp_path: Path) -> None:
    assembly = begin(tmp_path, shard_bytes=1 << 30)
    for name in TRACKS:
        assembly.add(*work(tmp_path, name))
    _, _, (_, second, _) = work(tmp_path, "dee")
    (tmp_path / PARTS / second.file).unlink()
    again = begin(tmp_path)
    assert set(KEYS.values()) - set(again.results) == {KEYS["dee"]}
    again.add(*work(tmp_path, "dee"))
    again.finish()
    assert shards(tmp_path) == shards(straight)


def test_a_run_taken_up_reads_each_pack_for_results_once(straight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of the plan, and all clips waiting for their shards."""
    out = straight.parent / "packed"
    for name in reversed(TRACKS):
        begin(out, shard_bytes=10**9, packed=1).add(*work(out, name))
    begin(out, shard_bytes=10**9, packed=1)
    reads: list[list[str]] = []
    read_table = packs.pq.read_table

    def counted(file: Any, columns: list[str]) -> Any:
        reads.append(columns)
        return read_table(file, columns=columns)

    monkeypatch.setattr(packs.pq, "read_table", counted)
    begin(out, shard_bytes=10**9, packed=1)
    assert sum("result" in columns for columns in reads) == len(TRACKS)


def test_of_names_results_hold_no_copies(tmp_path: Path) -> None:
    """A million clips have as many names, in memory once."""
    zoe = clip("zoe who is nowhere else")
    plan = Plan.of(Scan([zoe]))
    (planned,) = plan.clips
    fault = InputError(Reason.UNREADABLE, "broken")
    begin(tmp_path, plan).add(planned, ClipResult.of(zoe, fault, tracks=0, frames=0, seconds=1.0), [])
    ((key, result),) = begin(tmp_path, plan).results.items()
    assert key is planned
    assert result.path is zoe.path
